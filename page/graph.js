// A graph on the screen: boxes and lines in SVG, to be moved and magnified, and the steps of backward.

import { C, Op, doubles, fault, opName, repr, short, view } from "./engine.js";
import { layout } from "./layout.js";
import { explain, expression } from "./rules.js";
import { element, svg } from "./elements.js";
import { onLanguage, t } from "./text.js";

const NODE_BYTES = 40; // of C's GraphNode
const HEIGHT = 48;

// The nodes of a graph as C has them now, in the order of the walk.
export function readNodes(which, n) {
    const pointer = C.graph_nodes(which);
    return Array.from({ length: n }, (_, k) => nodeAt(pointer + k * NODE_BYTES));
}

// Any node of C's, in that graph or not.
export const readNode = (which, index) => nodeAt(C.graph_node(which, index));

function nodeAt(pointer) {
    const [data, grad, exponent] = doubles(pointer, 3);
    const [index, op, a, b] = view(Uint32Array, pointer + 24, 4);
    return { data, grad, exponent, index, op, a, b };
}

function symbol({ op, exponent }) {
    if (op === Op.POW) return `**${Number.isInteger(exponent) ? exponent : repr(exponent)}`;
    return opName(op);
}

const shortened = name => (name.length > 16 ? `${name.slice(0, 15)}…` : name);

export class GraphView {
    // place: an element to fill. onHover(index or null): the pointer, or the focus, is on this node.
    constructor(place, which, onHover = () => {}) {
        this.which = which;
        this.onHover = onHover;
        this.nodes = [];
        this.names = new Map();
        this.build(place);
        onLanguage(() => this.describe());
    }

    build(place) {
        const button = (key, text, action) => {
            // a button without a sign of its own shows its label
            return element("button", { type: "button", "data-label": key, "data-text": text ? null : key, onclick: action }, text);
        };
        this.slider = element("input", { type: "range", min: 0, value: 0, "data-label": "stepSlider" });
        this.slider.oninput = () => this.goto(Number(this.slider.value));
        this.count = element("output", { class: "count" });
        this.playButton = button("stepPlay", "▶▶", () => this.play());
        this.bar = element("div", { class: "bar", role: "group", "data-label": "stepBar" },
            button("stepStart", "|◀", () => this.goto(0)),
            button("stepBack", "◀", () => this.goto(this.step - 1)),
            button("stepForward", "▶", () => this.goto(this.step + 1)),
            this.playButton,
            button("stepEnd", "▶|", () => this.end()),
            this.slider, this.count,
            element("span", { class: "spacer" }),
            button("zoomOut", "−", () => this.zoom(1 / 1.3)),
            button("zoomIn", "+", () => this.zoom(1.3)),
            button("zoomFit", "", () => this.fit(true)));
        this.svg = svg("svg", { class: "graph", tabindex: 0, role: "group", "data-label": "graphKeys" });
        this.detail = element("output", { class: "note detail" });
        this.rule = element("pre", { class: "rule", "aria-live": "polite" });
        place.append(this.bar, this.rule, this.svg, this.detail);
        this.listen();
    }

    // names: of nodes, by index; classes: how they are drawn: "weight", "input"
    show(n, names, classes = new Map(), { keepPlace = false, hasGradients = false, isAtStart = false } = {}) {
        this.stop();
        this.problem = null;
        this.n = n;
        this.names = names;
        this.nodes = readNodes(this.which, n);
        this.at = new Map(this.nodes.map((node, k) => [node.index, k]));
        // a step for each node that has a rule, after the one that sets the root's gradient
        this.steps = [0];
        [...this.nodes].reverse().forEach((node, k) => symbol(node) && this.steps.push(k + 1));
        this.slider.max = this.steps.length;
        if (!hasGradients && C.graph_backward(this.which)) this.problem = fault();
        this.step = isAtStart ? 0 : this.steps.length;
        if (isAtStart) this.run(0);
        this.hovered = null;
        this.draw(classes);
        if (!keepPlace || !this.box) this.fit();
        else if (isAtStart) this.reveal(this.current());
        this.refresh();
    }

    draw(classes) {
        const sizes = this.nodes.map(node => [Math.max(108, 8 * shortened(this.name(node.index)).length + 48), HEIGHT]);
        const edges = this.nodes.flatMap((node, k) => [node.a, node.b].filter(i => i).map(i => [this.at.get(i), k]));
        const places = layout(sizes, edges);
        this.size = [places.width, places.height];
        this.corners = places.corners;
        this.sizes = sizes;
        const lines = svg("g", { class: "edges", "aria-hidden": "true" });
        // by the node from which they come, from left to right: {to: the place of the node they enter, or -1, path}
        this.lines = places.lines.map(list => list.map(([x0, x1, x2, x3, y0, y1, to]) => {
            const bend = (x2 - x1) / 2;
            return { to, path: `M${x0} ${y0}H${x1}C${x1 + bend} ${y0} ${x2 - bend} ${y1} ${x2} ${y1}H${x3}` };
        }));
        for (const list of this.lines) {
            if (list.length) lines.append(svg("path", { d: list.map(({ path }) => path).join("") }));
        }
        this.active = svg("g"); // those into the current node, over the others
        lines.append(this.active);
        this.boxes = this.nodes.map((node, k) => {
            const [x, y] = places.corners[k], [w, h] = sizes[k];
            const kind = classes.get(node.index) ?? (symbol(node) ? "computed" : "constant");
            const title = svg("title", {}, `${this.name(node.index)} ${symbol(node)}`);
            const name = shortened(this.name(node.index));
            const grad = svg("text", { x: 8, y: 42, class: "grad" });
            const box = svg("g", { class: `node ${kind}`, transform: `translate(${x} ${y})`, "data-node": k, role: "img" },
                title,
                svg("rect", { width: w, height: h, rx: 6 }),
                svg("text", { x: 8, y: 14, class: "name" }, name),
                svg("text", { x: w - 8, y: 14, class: "op", "text-anchor": "end" }, symbol(node)),
                svg("text", { x: 8, y: 29 }, `data ${short(node.data)}`),
                grad);
            return Object.assign(box, { grad });
        });
        const layer = svg("g", {}, ...this.boxes);
        this.svg.replaceChildren(lines, layer);
    }

    name(index) {
        return this.names.get(index) ?? `#${this.at.get(index)}`;
    }

    // ------------------------------------------------------------------------
    // the steps of backward

    // isExplained: by the rule of this step, and not by what all have done
    goto(step, isExplained = true) {
        step = Math.min(Math.max(step, 0), this.steps.length);
        if (step === this.step && isExplained) return this.reveal(this.current());
        this.problem = null;
        let before = null;
        if (step > 0 && isExplained) {
            this.run(step - 1);
            before = readNodes(this.which, this.n);
        }
        this.run(step);
        this.step = step;
        this.refresh(before);
        this.reveal(this.current());
    }

    end() {
        this.goto(this.steps.length, false);
    }

    // the gradients after so many steps
    run(step) {
        const n = step === 0 ? 0 : this.steps[step - 1] + 1;
        if (C.graph_steps(this.which, n)) this.problem = fault();
    }

    // the place of the node whose rule was the last step; before all steps, of the one where they begin
    current() {
        return this.n - Math.max(1, this.steps[this.step - 1] ?? 0);
    }

    refresh(before) {
        this.nodes = readNodes(this.which, this.n);
        const isEnd = this.step === this.steps.length && !before;
        this.nodes.forEach(({ grad }, k) => {
            const box = this.boxes[k];
            if (box.shown === grad) return; // most have not changed
            box.shown = grad;
            box.grad.textContent = `grad ${short(grad)}`;
            box.classList.toggle("plus", grad > 0);
            box.classList.toggle("minus", grad < 0);
        });
        for (const mark of this.svg.querySelectorAll(".current, .changed")) {
            mark.classList.remove("current", "changed");
        }
        this.active.replaceChildren();
        if (!isEnd) {
            const k = this.current(), node = this.nodes[k];
            this.boxes[k].classList.add("current");
            if (this.step > 1) {
                for (const i of new Set([node.a, node.b])) if (i) this.mark(this.at.get(i), k);
            }
        }
        this.slider.value = this.step;
        this.count.textContent = `${this.step} / ${this.steps.length}`;
        this.slider.setAttribute("aria-valuetext", this.count.textContent);
        this.before = before;
        this.describe();
    }

    // an operand of the current node, and the edge between the two
    mark(k, current) {
        this.boxes[k].classList.add("changed");
        const list = this.lines[k], end = list.findIndex(({ to }) => to === current);
        const way = list.slice(0, end + 1).filter(({ to }) => to < 0 || to === current);
        this.active.append(svg("path", { d: way.map(({ path }) => path).join("") }));
    }

    describe() {
        if (!this.nodes.length) return;
        this.detail.textContent = this.hovered === null ? t("graphHint") : this.details(this.hovered);
        this.svg.setAttribute("aria-label", `${t("graphKeys")} ${t("graphSize", this.n)}`);
        this.playButton.textContent = this.timer ? "❚❚" : "▶▶";
        const root = this.name(this.nodes[this.n - 1].index);
        let lines;
        if (this.problem) lines = [this.problem()];
        else if (this.step === 0) lines = [t(this.nodes.some(({ grad }) => grad) ? "ruleEarlier" : "ruleNone", root)];
        else if (!this.before) lines = [t("ruleAll", root, this.steps.length - 1, this.n - this.steps.length + 1)];
        else if (this.step === 1) {
            lines = [t("ruleRoot", root), `${root}.grad = 1.0`];
        } else {
            const node = this.nodes[this.current()];
            lines = explain(node, symbol(node), {
                name: i => this.name(i),
                data: i => this.nodes[this.at.get(i)].data,
                before: i => this.before[this.at.get(i)].grad,
                after: i => this.nodes[this.at.get(i)].grad,
            });
        }
        this.rule.textContent = lines.join("\n");
    }

    play() {
        if (this.timer) return this.stop();
        if (this.step === this.steps.length) this.goto(0);
        this.timer = setInterval(() => {
            this.goto(this.step + 1);
            if (this.step === this.steps.length) this.stop();
        }, 200);
        this.describe();
    }

    stop() {
        clearInterval(this.timer);
        this.timer = 0;
        if (this.nodes.length) this.describe();
    }

    // ------------------------------------------------------------------------
    // what part of it is seen: this.box is [x, y, width, height]

    look() {
        // its middle stays on the graph, so that this cannot be lost
        const [, , width, height] = this.box;
        this.size.forEach((size, k) => {
            const half = (k ? height : width) / 2;
            this.box[k] = Math.min(Math.max(this.box[k], -half), size - half);
        });
        this.svg.setAttribute("viewBox", this.box.map(x => x.toFixed(1)).join(" "));
    }

    // all of it, or no more than can be read
    fit(isAll = false) {
        const margin = 12, [w, h] = this.size;
        const { clientWidth: W = 1, clientHeight: H = 1 } = this.svg;
        const whole = Math.max((w + 2 * margin) / (W || 1), (h + 2 * margin) / (H || 1));
        this.most = 1.2 * Math.max(whole, 1.15); // units of the graph a pixel: see zoom
        const scale = whole > 1.7 && !isAll ? 1.15 : Math.max(whole, 0.7);
        this.box = [0, 0, scale * (W || 1), scale * (H || 1)];
        // a large graph begins at its end, where backward begins
        this.box[0] = scale < whole ? w + margin - this.box[2] : (w - this.box[2]) / 2;
        this.box[1] = (h - this.box[3]) / 2;
        if (scale < whole && this.corners.length) {
            const last = this.corners[this.n - 1];
            if (h > this.box[3]) this.box[1] = last[1] + HEIGHT / 2 - this.box[3] / 2;
            if (w + 2 * margin < this.box[2]) this.box[0] = (w - this.box[2]) / 2;
        }
        this.look();
    }

    zoom(factor, x = 0.5, y = 0.5) {
        const [left, top, w, h] = this.box;
        const pixels = this.svg.clientWidth || 1;
        const to = Math.min(Math.max(w / factor, 0.4 * pixels), this.most * pixels) / w;
        this.box = [left + w * (1 - to) * x, top + h * (1 - to) * y, w * to, h * to];
        this.look();
    }

    pan(dx, dy) {
        this.box[0] += dx;
        this.box[1] += dy;
        this.look();
    }

    // so that a box and its operands can be seen
    reveal(k) {
        const list = [k, ...[this.nodes[k].a, this.nodes[k].b].filter(i => i).map(i => this.at.get(i))];
        const [x, y, w, h] = this.box;
        const inside = i => {
            const [left, top] = this.corners[i], [width, height] = this.sizes[i];
            return left >= x && top >= y && left + width <= x + w && top + height <= y + h;
        };
        if (list.every(inside)) return;
        const [left, top] = this.corners[k], [width, height] = this.sizes[k];
        this.box[0] = left + width / 2 - 0.65 * w;
        this.box[1] = top + height / 2 - h / 2;
        this.look();
    }

    listen() {
        const scale = () => this.box[2] / (this.svg.clientWidth || 1);
        this.svg.addEventListener("wheel", event => {
            if (!event.ctrlKey && !event.metaKey && event.deltaMode === 0 && !this.isFocused()) return;
            event.preventDefault();
            const { left, top, width, height } = this.svg.getBoundingClientRect();
            this.zoom(Math.exp(-event.deltaY / 400), (event.clientX - left) / width, (event.clientY - top) / height);
        }, { passive: false });
        const pointers = new Map();
        this.svg.addEventListener("pointerdown", event => {
            this.hover(event.target.closest?.("[data-node]")); // for fingers, which point without hovering
            pointers.set(event.pointerId, [event.clientX, event.clientY]);
            this.svg.setPointerCapture(event.pointerId);
        });
        this.svg.addEventListener("pointermove", event => {
            const before = pointers.get(event.pointerId);
            if (!before) return this.hover(event.target.closest?.("[data-node]"));
            const now = [event.clientX, event.clientY];
            if (pointers.size === 2) { // two fingers magnify
                const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
                const length = at => Math.hypot(at[0] - other[0], at[1] - other[1]);
                this.zoom(length(now) / Math.max(1, length(before)));
            } else {
                this.pan((before[0] - now[0]) * scale(), (before[1] - now[1]) * scale());
            }
            pointers.set(event.pointerId, now);
        });
        const up = event => pointers.delete(event.pointerId);
        this.svg.addEventListener("pointerup", up);
        this.svg.addEventListener("pointercancel", up);
        this.svg.addEventListener("pointerleave", () => this.hover(null));
        this.svg.addEventListener("keydown", event => {
            const far = this.box[2] / 10;
            const actions = {
                ArrowLeft: () => this.pan(-far, 0), ArrowRight: () => this.pan(far, 0),
                ArrowUp: () => this.pan(0, -far), ArrowDown: () => this.pan(0, far),
                "+": () => this.zoom(1.3), "=": () => this.zoom(1.3), "-": () => this.zoom(1 / 1.3), 0: () => this.fit(true),
                ".": () => this.goto(this.step + 1), ",": () => this.goto(this.step - 1),
                // n goes in the order of backward, from the loss to the leaves
                n: () => this.pointNext(-1), p: () => this.pointNext(1),
                Home: () => this.goto(0), End: () => this.end(),
            };
            if (event.ctrlKey || event.metaKey || event.altKey || !actions[event.key]) return;
            event.preventDefault();
            actions[event.key]();
        });
    }

    isFocused() {
        return document.activeElement === this.svg;
    }

    hover(box) {
        this.point(box ? Number(box.dataset.node) : null);
    }

    // the pointer, or a key, is on node k
    point(k) {
        if (k === this.hovered) return;
        this.boxes[this.hovered]?.classList.remove("hovered");
        this.hovered = k;
        this.boxes[k]?.classList.add("hovered");
        this.detail.textContent = k === null ? t("graphHint") : this.details(k);
        this.onHover(k === null ? null : this.nodes[k].index);
    }

    // all digits
    details(k) {
        const node = this.nodes[k];
        const [a, b] = [node.a, node.b].map(i => (i ? this.name(i) : null));
        const how = symbol(node) ? ` = ${expression(node, a, b, symbol(node))}` : "";
        return t("nodeNumbers", this.name(node.index) + how, repr(node.data), repr(node.grad));
    }

    // by keys: the node after, or before, in the order of the walk
    pointNext(way) {
        const k = this.hovered === null ? this.n - 1 : (this.hovered + way + this.n) % this.n;
        this.point(k);
        this.reveal(k);
    }

    // from elsewhere: show where a node is
    highlight(index) {
        this.boxes?.forEach((box, k) => box.classList.toggle("hovered", this.nodes[k].index === index));
    }
}
