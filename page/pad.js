// The tab "Scratch pad": a few lines of Python, their graph and their gradients.

import { C, Op, fault, repr } from "./engine.js";
import { $, element } from "./elements.js";
import { compute } from "./compute.js";
import { GraphView, readNode } from "./graph.js";
import { PadError, parse } from "./parse.js";
import { keep, kept } from "./store.js";
import { say, t } from "./text.js";

const OF_PAD = 1;

const EXAMPLES = {
    first: `a = Value(2.0)
b = Value(-3.0)
c = a*b + a**2
loss = c.tanh()
loss.backward()`,
    neuron: `x1 = Value(2.0); x2 = Value(0.0)
w1 = Value(-3.0); w2 = Value(1.0)
b = Value(6.8813735870195432)
n = x1*w1 + x2*w2 + b
o = n.tanh()`,
    twice: `# a is used three times: its gradients add up
a = Value(3.0)
b = a + a
c = b * a`,
    chain: `a = Value(-4.0); b = Value(2.0)
c = a + b
d = a * b + b**3
c = c + c + 1
c = c + 1 + c + (-a)
d = d + d * 2 + (b + a).relu()
d = d + 3 * d + (b - a).relu()
e = c - d
f = e**2
g = f / 2.0
g = g + 10.0 / f
g.backward()`,
};

const MOST_NODES = 1500; // that are drawn in a second or two, even one after the other

let graph, statements = "";
let own = null; // the last text that is no example
let named = new Map(); // the node of each name

export function startPad() {
    graph = new GraphView($("pad-graph"), OF_PAD, mark);
    const refresh = graph.refresh.bind(graph);
    graph.refresh = before => {
        refresh(before);
        table();
    };
    const last = kept("pad"), before = kept("pad-own");
    own = typeof before === "string" ? before : null;
    $("pad-text").value = typeof last === "string" ? last : EXAMPLES.first;
    showExample();
    let timer;
    $("pad-text").oninput = () => {
        keep("pad", $("pad-text").value);
        showExample();
        clearTimeout(timer);
        timer = setTimeout(go, 250);
    };
    $("pad-example").onchange = () => {
        $("pad-text").value = EXAMPLES[$("pad-example").value] ?? own;
        keep("pad", $("pad-text").value);
        graph.box = null;
        go();
    };
}

// Which example the text is, if it is one. A text of one's own is kept while examples are looked at.
function showExample() {
    const text = $("pad-text").value;
    const found = Object.keys(EXAMPLES).find(name => EXAMPLES[name] === text);
    if (!found && text.trim()) keep("pad-own", (own = text));
    $("pad-example").options[0].hidden = own === null;
    $("pad-example").value = found ?? "own";
}

export function showPad(on) {
    if (on && !statements) go();
    if (!on) graph.stop();
}

function go() {
    const text = $("pad-text").value;
    statements = text;
    for (const id of ["pad-problem", "pad-called"]) say($(id));
    $("pad-text").setAttribute("aria-invalid", false);
    try {
        const { names, root, hasGradients, number } = compute(parse(text));
        if (!root && number) throw new PadError(number.at, "padNumber", number.number);
        if (!root) throw new PadError(text.length, "padEmpty");
        const labels = new Map([...names].map(([name, node]) => [node, name]));
        const n = C.graph_root(OF_PAD, root);
        if (n < 0) throw new PadError(text.length, fault());
        if (n > MOST_NODES) throw new PadError(text.length, "padLarge", n, MOST_NODES);
        named = names;
        stale(false);
        graph.show(n, labels, new Map(), { keepPlace: Boolean(graph.box) && graph.n === n, hasGradients });
        if (!hasGradients) say($("pad-called"), () => t("padCalled", graph.name(root)));
    } catch (problem) {
        if (!(problem instanceof PadError)) throw problem;
        graph.stop();
        stale(true);
        const line = text.slice(0, problem.at).split("\n");
        say($("pad-problem"), () => t("padWhere", line.length, line.at(-1).length + 1, problem.words()));
        $("pad-text").setAttribute("aria-invalid", true);
    }
}

// What is shown belongs to an earlier text, and C has it no more.
function stale(on) {
    for (const box of [$("pad-graph"), $("pad-values").closest(".values-box")]) {
        box.classList.toggle("stale", on);
        box.inert = on;
    }
}

// the named values, in the graph or not
function table() {
    const rows = [...named].map(([name, node]) => ({ name, ...readNode(OF_PAD, node) }));
    $("pad-values").replaceChildren(...rows.map(({ name, index, data, grad }) => {
        const cells = [data, grad].map(number => element("td", {}, repr(number)));
        return element("tr", { "data-index": index }, element("th", { scope: "row", title: name }, name), ...cells);
    }));
    const powers = graph.nodes.filter(({ op }) => op === Op.POWER).map(({ a, b }) => [readNode(OF_PAD, a).data, b]);
    say($("pad-odd"), () => odd(rows, powers).join("\n"));
}

// Which named numbers are not finite, and why. powers: base and exponent's node of each.
function odd(rows, powers) {
    return rows.flatMap(({ name, index, data, grad }) =>
        [[`${name}.data`, data], [`${name}.grad`, grad]].filter(([, x]) => !Number.isFinite(x)).map(([what, x]) => {
            const base = what.endsWith("grad") && powers.find(([a, b]) => a < 0 && b === index)?.[0];
            if (base) return t("padNanPower", what, repr(base));
            return t(Number.isNaN(x) ? "padNan" : "padInfinite", what);
        }));
}

function mark(index) {
    for (const tr of $("pad-values").children) tr.classList.toggle("hovered", Number(tr.dataset.index) === index);
}

// for tests
export const padGraph = () => graph;
export const padText = () => statements; // what was computed last
