// The plane: what the network says of every place, and the points, to be added, moved and removed.

import { C, view } from "./engine.js";
import { color, svg } from "./elements.js";
import { LIMITS, counts, onRun, pointsChanged, run } from "./run.js";
import { onLanguage, say, t } from "./text.js";

export const HALF = 2.2; // the plane goes from -HALF to HALF
const EDGE = HALF - 0.08; // how far a point may be moved, so that all of its mark is seen
const SLACK = 5; // pixels by which a click may slip
const HOLD = 12; // pixels from a point at which it can be dragged
const FINGER = 22; // and at which a finger taps it
const FINE = 128, COARSE = 64; // squares a side; SURFACE in page.h is the most
const STEP = 0.05; // of an arrow key

const shapes = [ // by class, so that nobody needs colours to tell them apart
    "M-1 0A1 1 0 1 1 1 0A1 1 0 1 1 -1 0Z",
    "M-.88 -.88H.88V.88H-.88Z",
    "M0 -1.15L1.1 .8H-1.1Z",
];

const limit = at => Math.min(EDGE, Math.max(-EDGE, at));

export class Plane {
    // onSelect(point or null): somebody has chosen it; isBusy(): whether a coarse surface will do
    constructor(canvas, overlay, live, { onSelect, isBusy }) {
        Object.assign(this, { canvas, overlay, live, onSelect, isBusy });
        this.tool = "move"; // or "0", "1", "2": add one of that class; "delete"
        this.selected = null;
        const axes = [-2, -1, 0, 1, 2].flatMap(k => [
            svg("text", { x: k, y: HALF - 0.04, "text-anchor": "middle" }, String(k)),
            // -2 is labelled by the horizontal axis
            ...(k > -2 ? [svg("text", { x: 0.04 - HALF, y: 0.05 - k }, String(k))] : []),
        ]);
        this.marks = svg("g");
        overlay.append(svg("g", { class: "axes", "aria-hidden": "true" }, ...axes), this.marks);
        this.listen();
        onRun(() => {
            if (this.selected && !run.points.includes(this.selected)) this.choose(null);
            this.draw();
        });
        onLanguage(() => this.overlay.setAttribute("aria-label", t("planeLabel")));
    }

    draw() {
        this.drawSurface(this.isBusy() ? COARSE : FINE);
        this.drawPoints();
    }

    drawSurface(n) {
        const likely = view(Float32Array, C.run_surface(n, HALF), n * n * 3);
        const classes = [0, 1, 2].map(c => color(`--class${c}`)), page = color("--panel");
        const image = new ImageData(n, n), { data } = image;
        for (let k = 0; k < n * n; k++) {
            const p = likely.subarray(k * 3, k * 3 + 3);
            for (let i = 0; i < 3; i++) {
                const hue = p[0] * classes[0][i] + p[1] * classes[1][i] + p[2] * classes[2][i];
                data[k * 4 + i] = page[i] + (hue - page[i]) * 0.55;
            }
            data[k * 4 + 3] = 255;
        }
        this.canvas.width = this.canvas.height = n;
        this.canvas.getContext("2d").putImageData(image, 0, 0);
        this.drawn = image;
    }

    drawPoints() {
        const size = run.points.length > 300 ? 0.038 : 0.052;
        const marks = run.points.map((point, i) =>
            svg("path", {
                d: shapes[point.label],
                transform: `translate(${point.x} ${-point.y}) scale(${size})`,
                class: `point class${point.label}${point.isVal ? " val" : ""}${point === this.selected ? " selected" : ""}`,
                "data-i": i,
            }));
        this.marks.replaceChildren(...marks);
    }

    choose(point) {
        this.selected = point;
        this.onSelect(point);
    }

    select(point) {
        this.choose(point);
        this.drawPoints();
        if (point) this.tell(point);
    }

    tell({ x, y, label, isVal }) {
        const place = [x, y].map(k => k.toFixed(2));
        say(this.live, () => t("planePoint", ...place, label, t(isVal ? "isVal" : "isTrain")));
    }

    add(x, y, label, isVal = false) {
        if (run.points.length >= LIMITS.points) return say(this.live, () => t("planeFull", LIMITS.points));
        const point = { x: limit(x), y: limit(y), label, isVal };
        run.points.push(point);
        this.choose(point);
        pointsChanged();
        const now = counts();
        say(this.live, () => t("planeAdded", label, ...now));
    }

    remove(point) {
        const i = run.points.indexOf(point);
        if (i < 0) return;
        run.points.splice(i, 1);
        pointsChanged();
        const now = counts();
        say(this.live, () => t("planeRemoved", ...now));
    }

    move(point, x, y) {
        point.x = limit(x);
        point.y = limit(y);
        pointsChanged();
    }

    // ------------------------------------------------------------------------
    // pointer and keys

    at(event) {
        const { left, top, width, height } = this.overlay.getBoundingClientRect();
        return [((event.clientX - left) / width - 0.5) * 2 * HALF, (0.5 - (event.clientY - top) / height) * 2 * HALF];
    }

    // the nearest point, and how many pixels away it is
    nearest(event) {
        const [x, y] = this.at(event);
        let nearest = null, least = Infinity;
        for (const point of run.points) {
            const distance = Math.hypot(point.x - x, point.y - y);
            if (distance <= least) [nearest, least] = [point, distance];
        }
        return { nearest, pixels: (least / (2 * HALF)) * this.overlay.clientWidth };
    }

    // What is pressed on a point and moved drags it; without moving it is a click, for the tool.
    listen() {
        const { overlay } = this;
        let pressed = null, isDrag = false; // pressed: {point or null, isHeld: near enough to be dragged, x, y}
        overlay.addEventListener("pointerdown", event => {
            if (event.button !== 0) return;
            const { nearest, pixels } = this.nearest(event), reach = event.pointerType === "touch" ? FINGER : HOLD;
            const point = pixels <= reach ? nearest : null;
            pressed = { point, isHeld: pixels <= HOLD, x: event.clientX, y: event.clientY };
            isDrag = false;
            overlay.focus({ preventScroll: true });
            if (!pressed.isHeld || this.tool === "delete") return;
            overlay.setPointerCapture(event.pointerId);
            this.select(pressed.point);
            event.preventDefault();
        });
        // a finger scrolls the page, unless it is on a point; points are made anew, so that no event is for them
        overlay.addEventListener("touchstart", event => {
            if (this.nearest(event.touches[0]).pixels <= HOLD && event.cancelable) event.preventDefault();
        }, { passive: false });
        overlay.addEventListener("pointermove", event => {
            isDrag ||= pressed && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > SLACK;
            const free = this.tool === "move" ? "" : "crosshair";
            if (!pressed) overlay.style.cursor = this.nearest(event).pixels <= HOLD ? "grab" : free;
            else if (isDrag && pressed.isHeld && this.tool !== "delete") this.move(pressed.point, ...this.at(event));
        });
        overlay.addEventListener("pointerup", event => {
            if (pressed && !isDrag) this.click(pressed.point, event);
            else if (pressed?.isHeld && this.tool !== "delete") this.tell(pressed.point);
            pressed = null;
        });
        overlay.addEventListener("pointercancel", () => (pressed = null));
        overlay.addEventListener("keydown", event => this.key(event));
    }

    click(point, event) {
        if (this.tool === "move") this.select(point);
        else if (this.tool !== "delete") this.add(...this.at(event), Number(this.tool), event.shiftKey);
        else if (point) this.remove(point);
        else say(this.live, () => t("planeNothing"));
    }

    key(event) {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const { points } = run, point = this.selected, i = points.indexOf(point);
        const far = event.shiftKey ? 10 * STEP : STEP;
        const arrows = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, far], ArrowDown: [0, -far] };
        const key = event.key.toLowerCase();
        if (key === "n" && points.length) this.select(points[(i + 1) % points.length]);
        else if (key === "p" && points.length) this.select(points[(i <= 0 ? points.length : i) - 1]);
        else if ("012".includes(key)) this.add(point ? point.x + 0.2 : 0, point ? point.y : 0, Number(key));
        else if (arrows[event.key] && point) {
            const [dx, dy] = arrows[event.key];
            this.move(point, point.x + dx, point.y + dy);
            this.tell(point);
        } else if (["Delete", "Backspace"].includes(event.key) && point) this.remove(point);
        else if (event.key === "Escape") this.select(null);
        else return;
        event.preventDefault();
    }
}
