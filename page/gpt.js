// The tab "GPT": examples/gpt.py, trained here: words, loss, attention, the next letter, words made up.

import { C, doubles, fault, short, view } from "./engine.js";
import { $, color, css, element, isCalm, mix } from "./elements.js";
import { drawCurves } from "./curves.js";
import { readSeed, tooLarge } from "./run.js";
import { keep, kept } from "./store.js";
import { onLanguage, say, t } from "./text.js";

const EDGE = 26, TOKENS = 27, POSITIONS = 16, HEADS = 4; // as in page.h
const MOST_WORDS = 5000;
const FRAME = 14; // milliseconds of a frame that steps may take
const MEAN = 50; // steps whose mean loss is a point of the curve

let isShown = false, isStarted = false, isPlaying = false;
let isWrong = false; // the fields: nothing is learned until they are mended
let words = []; // in the order in which they are learned
let known = new Set();
let rate = 0.02; // in use
let step = 0, losses = [], sum = 0, count = 0, made = [];
let position = 0; // whose attention and whose next letter is shown

const letter = token => (token === EDGE ? "·" : String.fromCharCode(97 + token));
const tokensOf = word => [EDGE, ...[...word].map(c => c.charCodeAt(0) - 97)];

export function startGpt() {
    const rivers = $("rivers").textContent.trim(), last = kept("gpt");
    $("gpt-words").value = typeof last?.words === "string" ? last.words : rivers;
    if (isRate(last?.rate)) $("gpt-rate").value = rate = last.rate;
    $("gpt-play").onclick = () => (isPlaying ? pause() : play());
    $("gpt-step").onclick = () => {
        pause();
        takeStep();
        show();
    };
    $("gpt-reset").onclick = () => {
        pause();
        restart();
    };
    $("gpt-words").onchange = $("gpt-seed").onchange = startAnew;
    $("gpt-rivers").onclick = () => {
        $("gpt-words").value = rivers;
        startAnew();
    };
    // from the next step on
    $("gpt-rate").onchange = () => {
        const text = $("gpt-rate").value.trim(), isRight = text !== "" && isRate(Number(text));
        if (isRight) rate = Number(text);
        $("gpt-rate").setAttribute("aria-invalid", !isRight);
        say($("gpt-rate-problem"), () => (isRight ? "" : `${t("wrong_gpt_rate")} ${t("inUse", rate)}`));
        keepFields();
    };
    $("gpt-word").oninput = () => {
        position = Infinity;
        look();
    };
    $("gpt-temperature").oninput = showTemperature;
    $("gpt-make").onclick = makeUp;
    onLanguage(() => {
        showPlay();
        showTemperature();
        if (isStarted) show();
    });
    new ResizeObserver(() => isStarted && show()).observe($("gpt-curve"));
}

function startAnew() {
    pause();
    const had = step;
    if (restart() && had) say($("gpt-anew"), () => t("gptAnew"));
    keepFields();
}

const isRate = x => typeof x === "number" && x > 0 && x < Infinity;
const keepFields = () => keep("gpt", { words: $("gpt-words").value, rate });

export function showGpt(on) {
    isShown = on;
    if (on && !isStarted) restart();
    else if (on) show();
    else pause();
}

// ----------------------------------------------------------------------------
// training

// the words of the text, or null, and then what is wrong is on the page
function readWords() {
    const found = [];
    for (const [k, line] of $("gpt-words").value.toLowerCase().split("\n").entries()) {
        const word = line.trim();
        if (!/^[a-z]{0,15}$/.test(word)) return wrong(() => t("gptWrongWord", k + 1, shortened(word), POSITIONS - 1));
        if (word) found.push(word);
    }
    if (found.length === 0) return wrong(() => t("gptNoWords"));
    if (found.length > MOST_WORDS) return wrong(() => t("gptManyWords", MOST_WORDS));
    return found;
}

const shortened = word => (word.length > 20 ? `${word.slice(0, 20)}…` : word);

function wrong(text) {
    say($("gpt-problem"), text);
    return null;
}

// Returns whether it could.
function restart() {
    const list = readWords();
    const seed = readSeed($("gpt-seed").value);
    $("gpt-words").setAttribute("aria-invalid", !list);
    $("gpt-seed").setAttribute("aria-invalid", !seed);
    isWrong = !list || !seed;
    say($("gpt-anew"));
    if (!list) return false;
    if (!seed) return wrong(() => t("wrong_seed"));
    say($("gpt-problem"));
    if (C.gpt_start(BigInt(seed), list.length)) return wrong(fault());
    const keys = doubles(C.gpt_keys(), list.length).slice();
    words = [...list.keys()].sort((i, j) => keys[i] - keys[j]).map(i => list[i]);
    known = new Set(words);
    [step, losses, sum, count, made, isStarted, position] = [0, [], 0, 0, [], true, Infinity];
    if (!$("gpt-word").value) $("gpt-word").value = list.includes("amazon") ? "amazon" : list[0];
    $("gpt-made").replaceChildren();
    show();
    return true;
}

function give(tokens) {
    view(Uint8Array, C.gpt_tokens(), tokens.length).set(tokens);
    return tokens.length;
}

function takeStep() {
    if (!isStarted || isWrong) return false;
    const n = give([...tokensOf(words[step % words.length]), EDGE]);
    if (C.gpt_step(n, rate)) return wrong(tooLarge(fault()));
    step++;
    if (!Number.isFinite(C.gpt_loss())) return wrong(tooLarge(() => t("notFinite")));
    sum += C.gpt_loss();
    count++;
    if (count === MEAN) {
        losses.push(sum / count);
        [sum, count] = [0, 0];
    }
    return true;
}

function play() {
    if (!isStarted) restart();
    if (!isStarted || isWrong || isPlaying) return;
    isPlaying = true;
    showPlay();
    let drawn = 0;
    const frame = now => {
        if (!isPlaying) return;
        const end = performance.now() + FRAME;
        let goesOn = true;
        const until = step + 100;
        while (goesOn && performance.now() < end && step < until) goesOn = takeStep();
        if (now - drawn > (isCalm() ? 1000 : 120)) {
            drawn = now;
            show();
        }
        if (goesOn) requestAnimationFrame(frame);
        else pause();
    };
    requestAnimationFrame(frame);
}

function pause() {
    if (!isPlaying) return;
    isPlaying = false;
    showPlay();
    if (isShown) show();
}

const showPlay = () => {
    $("gpt-play").textContent = isPlaying ? `❚❚ ${t("pause")}` : `▶ ${t("train")}`;
};

function show() {
    const means = losses.length || !count ? losses : [sum / count];
    drawCurves($("gpt-curve"), [{ values: means, color: "--train" }], MEAN);
    const key = words.length === 1 ? "gptNowOne" : "gptNow", mean = means.length ? short(means.at(-1)) : "–";
    const text = t(key, step, words.length, C.gpt_nparameters(), mean);
    $("gpt-now").textContent = text;
    $("gpt-curve").setAttribute("aria-label", text);
    look();
}

// ----------------------------------------------------------------------------
// what it pays attention to, and what it expects next

function look() {
    if (!isStarted) return;
    const word = $("gpt-word").value.toLowerCase().trim();
    const isWord = /^[a-z]{0,15}$/.test(word);
    $("gpt-word").setAttribute("aria-invalid", !isWord);
    $("gpt-word-problem").textContent = isWord ? "" : t("gptWrongLook", POSITIONS - 1);
    if (!isWord) return;
    const tokens = tokensOf(word), n = give(tokens);
    if (C.gpt_look(n)) return wrong(fault());
    position = Math.min(position, n - 1);
    showLetters(tokens);
    const attention = doubles(C.gpt_attention(), HEADS * POSITIONS * POSITIONS);
    for (let h = 0; h < HEADS; h++) showHead(h, tokens, attention.subarray(h * POSITIONS ** 2, (h + 1) * POSITIONS ** 2));
    showNext(doubles(C.gpt_probabilities() + position * TOKENS * 8, TOKENS).slice());
}

function showLetters(tokens) {
    const box = $("gpt-letters");
    const radios = tokens.map((token, i) => {
        const input = element("input", { type: "radio", name: "gpt-position", value: i });
        input.checked = i === position;
        input.onchange = () => {
            position = i;
            look();
        };
        return element("label", {}, input, element("span", {}, letter(token)));
    });
    // keep the focus where it is: only what has changed is made anew
    const old = [...box.children];
    if (old.length === radios.length && old.every((label, i) => label.textContent === radios[i].textContent)) {
        old.forEach((label, i) => (label.firstChild.checked = i === position));
    } else {
        box.replaceChildren(...radios);
    }
}

// a square for each pair: from which position (row) to which (column)
function showHead(h, tokens, weights) {
    const box = $("gpt-heads");
    const canvas = box.children[h]?.querySelector("canvas") ?? box.appendChild(
        element("figure", {}, element("canvas", { role: "img" }), element("figcaption"))).querySelector("canvas");
    const n = tokens.length, edge = 16, room = canvas.parentNode.clientWidth || 120;
    const cell = Math.min(30, (room - edge - 1) / n), small = Math.min(12, 1.5 * cell); // 1: the frame
    const ratio = window.devicePixelRatio || 1, size = edge + n * cell + 1;
    canvas.width = canvas.height = Math.round(size * ratio);
    canvas.style.width = `${size}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const page = color("--panel"), ink = color("--plus"), text = color("--ink");
    pen.font = `${small}px ui-monospace, monospace`;
    pen.textAlign = "center";
    pen.fillStyle = css(text);
    tokens.forEach((token, i) => {
        pen.fillStyle = css(text);
        pen.fillText(letter(token), edge + (i + 0.5) * cell, 12);
        pen.fillText(letter(token), 8, edge + (i + 0.5) * cell + 4);
        for (let k = 0; k <= i; k++) {
            pen.fillStyle = css(mix(page, ink, weights[i * POSITIONS + k]));
            pen.fillRect(edge + k * cell + 0.5, edge + i * cell + 0.5, cell - 1, cell - 1);
        }
    });
    pen.strokeStyle = css(text);
    pen.strokeRect(edge, edge + position * cell, (position + 1) * cell, cell);
    const row = [...weights.subarray(position * POSITIONS, position * POSITIONS + position + 1)];
    const best = row.indexOf(Math.max(...row));
    const percent = Math.round(100 * row[best]);
    canvas.setAttribute("aria-label", t("headLabel", h + 1, letter(tokens[position]), letter(tokens[best]), percent));
    box.children[h].querySelector("figcaption").textContent = t("head", h + 1);
}

function showNext(likely) {
    const box = $("gpt-next");
    if (!box.children.length) {
        likely.forEach((_, token) => {
            box.append(element("div", { role: "listitem" }, element("i"), element("span", {}, letter(token))));
        });
    }
    const most = Math.max(...likely);
    likely.forEach((p, token) => {
        const bar = box.children[token];
        bar.firstChild.style.height = `${(100 * p) / Math.max(most, 0.25)}%`;
        bar.title = `${letter(token)} ${(100 * p).toFixed(1)}%`;
        bar.setAttribute("aria-label", bar.title);
    });
    const best = [...likely.keys()].sort((a, b) => likely[b] - likely[a]).slice(0, 3);
    $("gpt-best").textContent = t("gptNext", best.map(k => `${letter(k)} ${(100 * likely[k]).toFixed(0)}%`).join(", "));
}

// ----------------------------------------------------------------------------
// words made up

function showTemperature() {
    $("gpt-temperature-now").textContent = Number($("gpt-temperature").value).toFixed(2);
}

function makeUp() {
    if (!isStarted) return;
    const temperature = Number($("gpt-temperature").value);
    for (let k = 0; k < 10; k++) {
        const n = C.gpt_make_up(temperature);
        if (n < 0) return wrong(fault());
        made.push(String.fromCharCode(...[...view(Uint8Array, C.gpt_tokens(), n)].map(c => c + 97)));
    }
    made = made.slice(-60);
    $("gpt-made").replaceChildren(...made.map(word => {
        return element("li", { class: known.has(word) ? "known" : null }, word || "∅");
    }));
    $("gpt-made").lastChild.scrollIntoView({ block: "nearest" });
}
