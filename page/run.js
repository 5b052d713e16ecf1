// The training run: its settings, its points, what has happened so far. What shows it listens.

import { C, Op, doubles, fault, fixed, repr, view } from "./engine.js";
import { keep } from "./store.js";
import { t } from "./text.js";

const DATA = ["simple", "circles", "yinyang"];
const OPTIMIZERS = ["adamw", "adam", "sgd"];
const POINT_BYTES = 24; // of C's Point: two doubles and an int32

// As `python -m micrograd`.
export const COURSE = {
    seed: "42", data: "simple", points: 100, hidden: [16], activation: "tanh",
    optimizer: "adamw", lr: 0.1, beta1: 0.9, beta2: 0.95, eps: 1e-8, decay: 1e-4,
};

export const LIMITS = { points: 1000, layers: 4, neurons: 32 };

export const run = {
    settings: structuredClone(COURSE),
    points: [], // {x, y, label, isVal}
    isEdited: false, // has somebody changed the points?
    isCourse: true, // is all as in the course so far?
    step: 0,
    train: [], // the loss before each step
    val: [],
    lines: [], // as `python -m micrograd` prints them
    time: 0, // milliseconds that C has taken since `timed`
    timed: 0,
    stepTime: null, // of a step, over about a hundred of them
    problem: null, // why it has stopped: a function that returns it in words
    parameters: [],
    gradients: [],
};

// A seed as text, or null if it is none.
export function readSeed(text) {
    if (!/^\s*\d{1,20}\s*$/.test(text)) return null;
    const seed = BigInt(text);
    return seed > 0n && seed < 2n ** 64n ? String(seed) : null;
}

// The hidden layers' sizes, or null.
export function readHidden(text) {
    const sizes = text.split(/[\s,]+/).filter(x => x);
    const isSize = x => /^\d+$/.test(x) && x >= 1 && x <= LIMITS.neurons;
    return sizes.length >= 1 && sizes.length <= LIMITS.layers && sizes.every(isSize) ? sizes.map(Number) : null;
}

// How many points there are to train and to validate with, and how many the data set keeps for a test.
export function counts() {
    const train = run.points.filter(point => !point.isVal).length, n = run.settings.points;
    return [train, run.points.length - train, n - Math.floor(0.9 * n)];
}

const listeners = [];
export const onRun = listener => listeners.push(listener);
export const changed = () => listeners.forEach(listener => listener(run));

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// for the next visit; points only if somebody has changed them
const keepRun = () => keep("run", { settings: run.settings, points: run.isEdited ? run.points : null });

// A network anew. Points that somebody has edited stay, unless newPoints.
export function restart({ newPoints = false } = {}) {
    const { settings } = run;
    const kept = run.isEdited && !newPoints ? run.points : null;
    view(Uint32Array, C.run_hidden(), settings.hidden.length).set(settings.hidden);
    const activation = settings.activation === "tanh" ? Op.TANH : Op.RELU;
    const data = DATA.indexOf(settings.data);
    const failed = C.run_start(BigInt(settings.seed), data, settings.points, settings.hidden.length, activation);
    run.problem = failed ? fault() : null;
    if (!kept) readPoints();
    else givePoints();
    setOptimizer();
    run.isCourse = same(settings, COURSE) && !run.isEdited;
    Object.assign(run, { step: 0, time: 0, timed: 0, stepTime: null, train: [], val: [], lines: [] });
    readNetwork();
    keepRun();
    changed();
}

function readPoints() {
    const n = run.settings.points, n1 = Math.floor(0.8 * n), n2 = Math.floor(0.9 * n);
    run.points = Array.from({ length: n2 }, (_, i) => {
        const at = C.run_points() + i * POINT_BYTES;
        const [x, y] = doubles(at, 2);
        return { x, y, label: view(Int32Array, at + 16, 1)[0], isVal: i >= n1 };
    });
    run.isEdited = false;
}

// The course's order: those to train with first.
function givePoints() {
    const train = run.points.filter(point => !point.isVal), val = run.points.filter(point => point.isVal);
    [...train, ...val].forEach(({ x, y, label }, i) => {
        const at = C.run_points() + i * POINT_BYTES;
        doubles(at, 2).set([x, y]);
        view(Int32Array, at + 16, 1)[0] = label;
    });
    C.run_set_points(train.length, val.length);
}

export function pointsChanged() {
    run.isEdited = true;
    run.isCourse = false;
    givePoints();
    keepRun();
    changed();
}

function setOptimizer() {
    const { optimizer, lr, beta1, beta2, eps, decay } = run.settings;
    C.run_set_optimizer(OPTIMIZERS.indexOf(optimizer), lr, beta1, beta2, eps, decay);
}

// A rate takes effect from the next step on.
export function rateChanged() {
    setOptimizer();
    keepRun();
    if (!same(run.settings, COURSE)) run.isCourse = false;
}

function readNetwork() {
    const n = C.run_nparameters();
    run.parameters = doubles(C.run_parameters(), n).slice();
    run.gradients = doubles(C.run_gradients(), n).slice();
}

export const tooLarge = problem => () => t("tooLarge", problem());

// One step; false if it has no result, as where numbers grow beyond all bounds.
export function takeStep() {
    if (!run.points.some(point => !point.isVal)) return false;
    const val = C.run_evaluate(1);
    if (run.step % 10 === 0 && !Number.isNaN(val)) run.lines.push(`step ${run.step}, val loss ${fixed(val)}`);
    const begin = performance.now();
    const failed = C.run_step();
    run.time += performance.now() - begin;
    timeSteps();
    if (failed) {
        run.problem = tooLarge(fault());
        return false;
    }
    run.val.push(val);
    run.train.push(C.run_loss());
    run.lines.push(`step ${run.step}, train loss ${repr(C.run_loss())}`);
    run.step++;
    if (!Number.isFinite(C.run_loss())) run.problem = tooLarge(() => t("notFinite"));
    return run.problem === null;
}

// The first ten steps are left out: then the recording is compiled, and the browser still warms up.
function timeSteps() {
    const n = run.step - run.timed;
    if (run.step === 10 || n === 100) {
        if (n === 100) run.stepTime = run.time / n;
        [run.time, run.timed] = [0, run.step];
    } else if (run.step === 99) {
        run.stepTime = run.time / n;
    }
}

// Show what steps have changed.
export function showSteps() {
    readNetwork();
    changed();
}

// Where each parameter is: in layer `layer` of neuron `neuron` the weight of input `input`, or its bias
// (input null).
export function places(hidden = run.settings.hidden) {
    const sizes = [2, ...hidden, 3], found = [];
    for (let layer = 0; layer + 1 < sizes.length; layer++) {
        for (let neuron = 0; neuron < sizes[layer + 1]; neuron++) {
            for (let input = 0; input < sizes[layer]; input++) found.push({ layer, neuron, input });
            found.push({ layer, neuron, input: null });
        }
    }
    return found;
}

// as in Python: model.layers[0].neurons[3].w[1], but shorter
export const placeName = ({ layer, neuron, input }) =>
    input === null ? `b${layer}[${neuron}]` : `w${layer}[${neuron},${input}]`;
