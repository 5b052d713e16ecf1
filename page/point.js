// The tab "Graph": the graph of one point's loss, beside the network's picture.

import { C, Op, fault } from "./engine.js";
import { $ } from "./elements.js";
import { GraphView, readNodes } from "./graph.js";
import { NetworkPicture } from "./network.js";
import { COURSE, onRun, placeName, places, readHidden, run } from "./run.js";
import { keep, kept } from "./store.js";
import { takeField } from "./train.js";
import { onLanguage, say, t } from "./text.js";

const OF_POINT = 0;
const MOST_NODES = 4000; // that are drawn in a second or two

let graph, network, isShown = false, isStale = true, key = "";
let chosen = null; // a point

export function startPoint() {
    // a parameter is node k + 1: see graph_point in page.h
    graph = new GraphView($("point-graph"), OF_POINT, index => {
        const k = index === null ? null : index - 1;
        network.highlight(k !== null && k < run.parameters.length ? k : null);
    });
    network = new NetworkPicture($("point-network"), { onHover: k => graph.highlight(k === null ? -1 : k + 1) });
    network.shows = "grad";
    // what the network's picture shows are the gradients of this point's loss, as far as the steps have come
    const refresh = graph.refresh.bind(graph);
    graph.refresh = before => {
        refresh(before);
        drawNetwork();
    };
    $("point-before").onclick = () => choose(-1);
    $("point-after").onclick = () => choose(1);
    $("point-worst").onclick = () => {
        selectPoint(run.points.reduce((worst, point) => (lossOf(point) > lossOf(worst) ? point : worst)));
        show();
    };
    for (const radio of document.querySelectorAll("[name=point-shows]")) {
        radio.onchange = () => {
            network.shows = radio.value;
            drawNetwork();
        };
    }
    onRun(() => {
        isStale = true;
        if (isShown) show();
    });
    onLanguage(() => network.describe());
    startSmall();
}

// a network whose graph fits on a screen, and back to the one before
function startSmall() {
    let before = readHidden(String(kept("hidden"))) ?? COURSE.hidden;
    const isSmall = () => run.settings.hidden.join() === "3";
    $("small").onclick = () => {
        if (run.step > 0 && !confirm(t("smallAnew", run.step))) return;
        $("hidden").value = isSmall() ? before.join(", ") : "3";
        takeField("hidden");
    };
    onRun(() => {
        if (!isSmall() && before !== run.settings.hidden) keep("hidden", (before = run.settings.hidden));
        say($("small"), () => (isSmall() ? t("smallBack", before.join(", ")) : t("small")));
    });
}

export function selectPoint(point) {
    chosen = point;
    isStale = true;
}

function lossOf({ x, y, label }) {
    const loss = C.run_point_loss(x, y, label);
    return Number.isNaN(loss) ? Infinity : loss; // the right class has the probability 0, and that no logarithm
}

function choose(way) {
    const i = run.points.indexOf(chosen), n = run.points.length;
    selectPoint(run.points[(i + way + n) % n]);
    show();
}

export function showPoint(on) {
    isShown = on;
    if (on && isStale) show();
    if (!on) graph.stop();
}

function show() {
    if (!run.points.includes(chosen)) chosen = run.points[0];
    describe();
    $("point-graph").hidden = $("point-worst").disabled = !chosen;
    if (!chosen) return;
    isStale = false;
    const { x, y, label } = chosen;
    const n = C.graph_point(x, y, label);
    if (n < 0 || n > MOST_NODES) {
        say($("point-now"), n < 0 ? fault() : () => t("graphTooLarge", n));
        $("point-graph").hidden = true;
        return;
    }
    const names = new Map(), classes = new Map(), count = run.parameters.length;
    places().forEach((place, k) => {
        names.set(k + 1, placeName(place));
        classes.set(k + 1, "weight");
    });
    ["x", "y"].forEach((name, k) => {
        names.set(count + 1 + k, name);
        classes.set(count + 1 + k, "input");
    });
    nameInner(readNodes(OF_POINT, n), names);
    const size = run.settings.hidden.join();
    graph.show(n, names, classes, { keepPlace: key === size, isAtStart: true });
    key = size;
}

// Neurons' outputs h, logits, and what cross_entropy computes of them.
function nameInner(nodes, names) {
    const at = new Map(nodes.map(node => [node.index, node]));
    // a neuron's sum begins at its bias, the first operand of the first addition
    const neuronOf = node => {
        while (node.a) node = at.get(node.a);
        return places()[node.index - 1];
    };
    for (const node of nodes) {
        if (node.op === Op.TANH || node.op === Op.RELU) {
            const { layer, neuron } = neuronOf(node);
            names.set(node.index, `h${layer}[${neuron}]`);
        } else if (node.op === Op.SHIFT) {
            names.set(node.index, "-max");
        } else if (node.op === Op.ADD && at.get(node.b).op === Op.SHIFT) {
            names.set(node.a, `logit[${neuronOf(at.get(node.a)).neuron}]`);
        } else if (node.op === Op.LOG) {
            names.set(node.a, `p[${chosen.label}]`);
        }
    }
    names.set(nodes[nodes.length - 1].index, "loss");
}

function drawNetwork() {
    const gradients = new Float64Array(run.parameters.length);
    for (const { index, grad } of graph.nodes) if (index <= gradients.length) gradients[index - 1] = grad;
    network.draw({ parameters: run.parameters, gradients });
}

function describe() {
    if (!chosen) {
        say($("point-now"), () => t("pointNone"));
        say($("point-flat"));
        return;
    }
    const { x, y, label } = chosen, { step } = run, i = run.points.indexOf(chosen), isFlat = lossOf(chosen) < 0.01;
    say($("point-flat"), () => (isFlat ? t("pointFlat") : ""));
    say($("point-now"), () => t("pointNow", i, x.toFixed(3), y.toFixed(3), label, step));
}

// for tests: all gradients as the steps have left them, and as one pass leaves them
export function gradients(byPass) {
    if (byPass) {
        C.graph_steps(OF_POINT, 0);
        C.graph_backward(OF_POINT);
    }
    return readNodes(OF_POINT, graph.n).map(node => node.grad);
}
export const pointGraph = () => graph;
