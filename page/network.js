// The network's picture: neurons, and a line for each weight.

import { C, repr, short, view } from "./engine.js";
import { color, css, element, mix, svg } from "./elements.js";
import { placeName, places, run } from "./run.js";
import { t } from "./text.js";

const WIDTH = 460, MAP = 16; // MAP as in page.h

export class NetworkPicture {
    // onHover(k or null): the pointer is on parameter k
    constructor(place, { onHover = () => {}, hasMaps = false } = {}) {
        this.onHover = onHover;
        this.hasMaps = hasMaps;
        this.shows = "data";
        this.box = element("div", { class: "network" });
        this.svg = svg("svg", { role: "img", tabindex: 0 });
        this.note = element("output", { class: "note", "aria-live": "polite" });
        this.box.append(this.svg);
        this.scale = element("p", { class: "note" });
        place.append(this.box, this.scale, this.note);
        this.svg.addEventListener("pointerover", event => this.hover(event.target.dataset?.k));
        this.svg.addEventListener("pointerleave", () => this.hover(undefined));
        this.svg.addEventListener("keydown", event => {
            const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key], n = this.marks.length;
            if (!way) return;
            event.preventDefault();
            this.hover(((this.hovered ?? (way > 0 ? -1 : 0)) + way + n) % n);
        });
    }

    build(hidden) {
        const sizes = [2, ...hidden, 3];
        this.key = hidden.join();
        const most = Math.max(...sizes), gap = Math.min(34, Math.max(20, 560 / most));
        const height = Math.max(3, most) * gap + 10, radius = Math.min(11, gap / 2 - 2);
        const x = layer => 34 + (layer * (WIDTH - 68)) / (sizes.length - 1);
        const y = (layer, i) => height / 2 + (i - (sizes[layer] - 1) / 2) * Math.min(gap * (most / sizes[layer]) ** 0.7, 70);
        this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
        this.svg.replaceChildren();
        this.box.querySelectorAll("canvas").forEach(canvas => canvas.remove());
        this.marks = [];
        const lines = svg("g"), neurons = svg("g");
        places(hidden).forEach(({ layer, neuron, input }, k) => {
            const cx = x(layer + 1), cy = y(layer + 1, neuron);
            if (input === null) {
                const bias = svg("circle", { cx, cy, r: radius, "data-k": k, class: "neuron" });
                neurons.append(bias);
                this.marks[k] = bias;
                if (this.hasMaps && layer < hidden.length) this.addMap(cx, cy, radius * 0.72, height);
            } else {
                const from = x(layer) + radius, to = cx - radius, middle = (from + to) / 2;
                const y0 = y(layer, input), y1 = cy;
                const d = `M${from} ${y0}C${middle} ${y0} ${middle} ${y1} ${to} ${y1}`;
                const line = svg("path", { d, class: "weight" });
                // a wider line that cannot be seen, for the pointer
                lines.append(line, svg("path", { d, class: "touch", "data-k": k }));
                this.marks[k] = line;
            }
        });
        for (const i of [0, 1]) {
            neurons.append(svg("circle", { cx: x(0), cy: y(0, i), r: radius, class: "input" }),
                svg("text", { x: x(0) - radius - 5, y: y(0, i) + 4, "text-anchor": "end" }, ["x", "y"][i]));
        }
        const last = sizes.length - 1;
        for (const c of [0, 1, 2]) {
            neurons.append(svg("text", { x: x(last) + radius + 5, y: y(last, c) + 4, class: `class${c}` }, String(c)));
        }
        this.svg.append(lines, neurons);
    }

    addMap(x, y, r, height) {
        const style = `left:${((x - r) / WIDTH) * 100}%;top:${((y - r) / height) * 100}%;width:${((2 * r) / WIDTH) * 100}%`;
        this.box.append(element("canvas", { width: MAP, height: MAP, style, "aria-hidden": "true" }));
    }

    draw({ parameters, gradients } = run) {
        if (this.key !== run.settings.hidden.join()) this.build(run.settings.hidden);
        this.numbers = { data: parameters, grad: gradients };
        const numbers = this.numbers[this.shows];
        const most = Math.max(1e-12, ...numbers.map(Math.abs));
        this.most = most > 1e-12 ? most : null;
        const plus = color("--plus"), minus = color("--minus"), page = color("--panel");
        this.marks.forEach((mark, k) => {
            const share = Math.abs(numbers[k]) / most, hue = numbers[k] < 0 ? minus : plus;
            if (mark.classList.contains("neuron")) {
                mark.style.fill = css(mix(page, hue, Math.sqrt(share)));
            } else {
                mark.style.stroke = css(mix(page, hue, 0.25 + 0.75 * share));
                mark.style.strokeWidth = 0.4 + 4.2 * share;
            }
        });
        const sizes = [2, ...run.settings.hidden, 3].join("-");
        this.svg.setAttribute("aria-label", t("networkLabel", sizes, this.marks.length));
        if (this.hasMaps) this.drawMaps();
        this.describe();
    }

    // each hidden neuron's output over the plane
    drawMaps() {
        const canvases = this.box.querySelectorAll("canvas");
        const maps = view(Float32Array, C.run_maps(2), canvases.length * MAP * MAP);
        const plus = color("--plus"), minus = color("--minus"), page = color("--panel");
        canvases.forEach((canvas, i) => {
            const values = maps.subarray(i * MAP * MAP, (i + 1) * MAP * MAP);
            const most = run.settings.activation === "tanh" ? 1 : Math.max(1e-9, ...values);
            const image = new ImageData(MAP, MAP);
            values.forEach((value, k) => {
                const rgb = mix(page, value < 0 ? minus : plus, Math.min(1, Math.abs(value) / most));
                image.data.set([...rgb, 255], k * 4);
            });
            canvas.getContext("2d").putImageData(image, 0, 0);
        });
    }

    hover(k) {
        const index = k === undefined ? null : Number(k);
        if (index === this.hovered) return;
        this.highlight(index);
        this.onHover(index);
    }

    highlight(k) {
        this.marks?.[this.hovered]?.classList.remove("hovered");
        this.hovered = k;
        this.marks?.[k]?.classList.add("hovered");
        this.describe();
    }

    describe() {
        const scale = this.most ? t("networkScale", short(this.most)) : t("networkZero");
        this.scale.textContent = this.hasMaps ? `${scale} ${t("networkMaps")}` : scale;
        const k = this.hovered;
        if (k === null || k === undefined || !this.numbers) {
            this.note.textContent = t("networkNote");
            return;
        }
        const { data, grad } = this.numbers;
        this.note.textContent = t("nodeNumbers", placeName(places()[k]), repr(data[k]), repr(grad[k]));
    }
}
