// The start: the engine, the language, the tabs.

import { C, load } from "./engine.js";
import { $ } from "./elements.js";
import { restart, run } from "./run.js";
import { pause, redraw, startTrain } from "./train.js";
import { gradients, pointGraph, selectPoint, showPoint, startPoint } from "./point.js";
import { padGraph, padText, showPad, startPad } from "./pad.js";
import { showGpt, startGpt } from "./gpt.js";
import { startLanguage } from "./text.js";

const TABS = ["train", "graph", "pad", "gpt"];
const show = { train: on => on && redraw(), graph: showGraph, pad: showPad, gpt: showGpt };

// A step of training would make the graph anew, and set its steps back.
function showGraph(on) {
    $("graph-paused").hidden = !(on && pause());
    showPoint(on);
}

// isNew: somebody has chosen it, and the browser's Back leads to the tab before.
function choose(name, { hasFocus = false, isNew = false } = {}) {
    for (const tab of TABS) {
        const on = tab === name;
        $(`tab-${tab}`).setAttribute("aria-selected", on);
        $(`tab-${tab}`).tabIndex = on ? 0 : -1;
        $(`panel-${tab}`).hidden = !on;
        show[tab](on);
    }
    if (hasFocus) $(`tab-${name}`).focus();
    // so that a link may lead to a part
    if (isNew && location.hash !== `#${name}`) history.pushState(null, "", `#${name}`);
    else history.replaceState(null, "", `#${name}`);
}

function startTabs() {
    TABS.forEach((name, k) => {
        const tab = $(`tab-${name}`);
        tab.onclick = () => choose(name, { isNew: true });
        tab.onkeydown = event => {
            const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
            const to = way ? (k + way + TABS.length) % TABS.length : { Home: 0, End: TABS.length - 1 }[event.key];
            if (to === undefined) return;
            event.preventDefault();
            choose(TABS[to], { hasFocus: true, isNew: true });
        };
    });
    const fromAddress = () => {
        const name = location.hash.slice(1);
        choose(TABS.includes(name) ? name : "train");
    };
    window.onhashchange = fromAddress;
    fromAddress();
}

async function start() {
    const bytes = await load();
    document.querySelector("[data-text=about1]").dataset.text = `about1|${Math.round(bytes / 1000)}`;
    startTrain({ onSelect: selectPoint });
    startPoint();
    startPad();
    startGpt();
    restart();
    startLanguage();
    startTabs();
    $("point-graph-of").onclick = () => choose("graph", { hasFocus: true, isNew: true });
    matchMedia("(prefers-color-scheme: dark)").onchange = () => choose(location.hash.slice(1));
    document.body.classList.add("ready");
}

// for tests, and for those who look with the browser's console
window.micrograd = { C, run, gradients, pointGraph, padGraph, padText };

start().catch(problem => {
    $("problem").textContent = String(problem);
    throw problem;
});
