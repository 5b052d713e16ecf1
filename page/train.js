// The tab "Train": controls, the plane, the network, curves, printed lines.

import { $, isCalm } from "./elements.js";
import { COURSE, LIMITS, counts, readHidden, readSeed, run } from "./run.js";
import { changed, onRun, rateChanged, restart, showSteps, takeStep } from "./run.js";
import { C, short } from "./engine.js";
import { HALF, Plane } from "./plane.js";
import { NetworkPicture } from "./network.js";
import { drawCurves } from "./curves.js";
import { compare, courseLines, row } from "./course.js";
import { kept } from "./store.js";
import { onLanguage, say, t } from "./text.js";

const SPEEDS = [1, 5, 20, 60, 300, Infinity]; // steps a second
const FRAME = 12; // milliseconds of a frame that steps may take
const MOST_LINES = 200; // in the table: the browser lays out the whole table for each new row

let isPlaying = false;
let until = Infinity;
let plane, network;

export function startTrain({ onSelect }) {
    plane = new Plane($("surface"), $("points-layer"), $("live"), {
        isBusy: () => isPlaying,
        onSelect: point => {
            $("point-graph-of").disabled = !point;
            if (point) onSelect(point);
        },
    });
    network = new NetworkPicture($("network"), { hasMaps: true });
    onRun(() => network.draw());
    onRun(drawLosses);
    onRun(printLines);
    onRun(showProblem);
    onRun(showCounts);
    let isFirst = true;
    onRun(() => {
        $("kept").hidden = !isFirst || run.isCourse;
        isFirst = false;
    });
    onLanguage(() => {
        showPlay();
        printLines(true);
        drawLosses();
        network.describe();
        showSpeed();
    });

    $("play").onclick = () => (isPlaying ? pause() : play());
    $("step").onclick = () => {
        pause();
        takeStep();
        showSteps();
    };
    $("hundred").onclick = () => play(run.step + 100);
    $("reset").onclick = () => {
        pause();
        restart();
    };
    $("new-points").onclick = () => {
        pause();
        restart({ newPoints: true });
    };
    $("course-settings").onclick = () => {
        pause();
        Object.assign(run.settings, structuredClone(COURSE));
        fillFields();
        restart({ newPoints: true });
    };
    $("speed").oninput = showSpeed;
    for (const radio of document.querySelectorAll("[name=tool]")) radio.onchange = () => (plane.tool = radio.value);
    for (const radio of document.querySelectorAll("[name=shows]")) {
        radio.onchange = () => {
            network.shows = radio.value;
            network.draw();
        };
    }
    for (const name of Object.keys(READERS)) $(name).onchange = () => takeField(name);
    recall();
    fillFields();
    if (matchMedia("(max-width: 45em)").matches) document.querySelector(".settings").open = false;
    new ResizeObserver(drawLosses).observe($("curves"));
}

export const redraw = () => {
    plane.draw();
    network.draw();
    drawLosses();
};

// ----------------------------------------------------------------------------
// play

function play(end = Infinity) {
    until = end;
    if (isPlaying) return;
    isPlaying = true;
    showPlay();
    let last = performance.now(), owed = 1, drawn = 0;
    const frame = now => {
        if (!isPlaying) return;
        const speed = SPEEDS[$("speed").value];
        owed = speed === Infinity ? speed : Math.min(owed + (Math.max(0, now - last) / 1000) * speed, speed);
        last = now;
        const begin = performance.now();
        let goesOn = true;
        while (goesOn && owed >= 1 && run.step < until && performance.now() - begin < FRAME) {
            goesOn = takeStep();
            owed--;
        }
        // Those who want less motion see two pictures a second. Full speed leaves time for clicks between pictures.
        const rest = isCalm() ? 500 : speed === Infinity ? 150 : 0;
        if (now - drawn >= rest || !goesOn || run.step >= until) {
            drawn = now;
            showSteps();
        }
        if (!goesOn || run.step >= until) pause();
        else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}

// Returns whether there was something to pause.
export function pause() {
    if (!isPlaying) return false;
    isPlaying = false;
    showPlay();
    changed(); // now with a fine surface
    return true;
}

function showProblem() {
    const { problem } = run, hasPoints = run.points.some(point => !point.isVal);
    say($("problem"), () => (problem ? t("stopped", problem()) : hasPoints ? "" : t("noPoints")));
}

function showCounts() {
    const [train, val, test] = counts();
    say($("points-hint"), () => t("pointsHint", train, val, test));
    say($("val-few"), () => (val > 0 && val < 30 ? t("valFew", val, Math.round(100 / val)) : ""));
}

const showPlay = () => {
    $("play").textContent = isPlaying ? `❚❚ ${t("pause")}` : `▶ ${t("play")}`;
};

function showSpeed() {
    const speed = SPEEDS[$("speed").value];
    $("speed-now").textContent = speed === Infinity ? t("speedAll") : t(speed === 1 ? "speedStep" : "speedSteps", speed);
    $("speed").setAttribute("aria-valuetext", $("speed-now").textContent);
}

// ----------------------------------------------------------------------------
// settings

// of each field: how its text is read; null where it is wrong
const whole = (least, most) => text => (/^\d+$/.test(text) && +text >= least && +text <= most ? +text : null);
const chosen = name => text => ([...$(name).options].some(({ value }) => value === text) ? text : null);
const rate = test => text => (text.trim() !== "" && test(Number(text)) ? Number(text) : null);
const READERS = {
    seed: readSeed,
    points: whole(10, LIMITS.points),
    hidden: readHidden,
    data: chosen("data"), activation: chosen("activation"), optimizer: chosen("optimizer"),
    lr: rate(x => x >= 0 && x < Infinity),
    beta1: rate(x => x >= 0 && x < 1), beta2: rate(x => x >= 0 && x < 1),
    eps: rate(x => x > 0 && x < 1), decay: rate(x => x >= 0 && x < Infinity),
};

// What is in a field becomes the setting, if it can be read.
export function takeField(name) {
    const value = READERS[name]($(name).value);
    $(name).setAttribute("aria-invalid", value === null);
    showWrong();
    if (value === null) return;
    run.settings[name] = value;
    showOptimizer();
    if (["optimizer", "lr", "beta1", "beta2", "eps", "decay"].includes(name)) {
        rateChanged();
        printLines(true);
        $("kept").hidden = true;
    } else {
        // other points, unless it is only the network that changes
        restart({ newPoints: ["seed", "points", "data"].includes(name) });
    }
}

// The settings and the points of the last visit, where they can be read.
function recall() {
    const last = kept("run");
    for (const [name, read] of Object.entries(READERS)) {
        const value = read(String(last?.settings?.[name]));
        if (value !== null) run.settings[name] = value;
    }
    const isPlace = x => Number.isFinite(x) && Math.abs(x) <= HALF;
    const isPoint = p => isPlace(p?.x) && isPlace(p.y) && [0, 1, 2].includes(p.label);
    const points = last?.points;
    if (Array.isArray(points) && points.length <= LIMITS.points && points.every(isPoint)) {
        run.points = points.map(({ x, y, label, isVal }) => ({ x, y, label, isVal: isVal === true }));
        run.isEdited = true;
    }
}

// what is wrong with the first field that is wrong, below it
function showWrong() {
    const field = document.querySelector(".settings [aria-invalid=true]");
    const used = [run.settings[field?.id]].flat().join(", ");
    say($("setting-problem"), () => (field ? `${t(`wrong_${field.id}`)} ${t("inUse", used)}` : ""));
    field?.closest("label").after($("setting-problem"));
}

// the fields show the run's settings, whatever the browser has kept from before
function fillFields() {
    for (const [name, value] of Object.entries(run.settings)) {
        $(name).value = Array.isArray(value) ? value.join(", ") : value;
        $(name).setAttribute("aria-invalid", false);
    }
    showWrong();
    showOptimizer();
}

// only the rates that this optimiser has
function showOptimizer() {
    const { optimizer } = run.settings;
    for (const name of ["beta1", "beta2", "eps"]) $(name).disabled = optimizer === "sgd";
    $("decay").disabled = optimizer !== "adamw";
}

// ----------------------------------------------------------------------------
// what has happened

const last = list => list[list.length - 1];

function drawLosses() {
    const { train, val } = run;
    drawCurves($("curves"), [
        { values: train, color: "--train" },
        { values: val, color: "--val", isDashed: true },
    ]);
    const text = [
        run.step ? t("stepsDone", run.step, run.step - 1, loss(last(train)), loss(last(val))) : t("stepsNone"),
        t("accuracyNow", percent(C.run_accuracy(0)), percent(C.run_accuracy(1))),
        ...(run.stepTime ? [t("stepTime", Math.round(1000 * run.stepTime))] : []),
    ].join(" · ");
    $("losses-now").textContent = text;
    $("curves").setAttribute("aria-label", `${t("curvesLabel")} ${text}`);
}

const loss = x => (Number.isNaN(x) ? "–" : short(x)); // there may be no points to validate with
const percent = x => (Number.isNaN(x) ? "–" : `${Math.round(100 * x)}%`);

let course;
let printed = { n: 0, isCourse: true, first: undefined };

function printLines(again = false) {
    course ??= courseLines();
    const { lines, isCourse } = run;
    const table = $("lines");
    if (again === true || lines.length < printed.n || isCourse !== printed.isCourse || lines[0] !== printed.first) {
        table.replaceChildren();
        printed = { n: 0, isCourse, first: lines[0] };
        $("lines-course").hidden = !isCourse;
    }
    const skipped = Math.max(0, lines.length - MOST_LINES);
    for (let k = Math.max(printed.n, skipped); k < lines.length; k++) {
        table.append(row(lines[k], isCourse ? course : undefined, k));
    }
    while (table.children.length > MOST_LINES) table.firstChild.remove();
    printed.n = lines.length;
    printed.first = lines[0];
    const box = $("lines-box");
    box.scrollTop = box.scrollHeight;
    $("digits").textContent = digits(lines, isCourse);
}

// How this run's digits compare with the course's, in words.
function digits(lines, isCourse) {
    if (!isCourse) return t("digitsOther");
    if (lines.length === 0) return t("digitsNone");
    const { first, equal, n } = compare(lines, course);
    if (!first) return t("digitsSame", n);
    return t("digitsDiffer", first.step, first.digit, equal, n);
}
