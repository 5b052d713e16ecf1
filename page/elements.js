// Elements of HTML and SVG, made in one call.

function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
        if (name.startsWith("on")) node[name] = value;
        else if (value !== null) node.setAttribute(name, value);
    }
    node.append(...children.filter(child => child !== null && child !== undefined));
    return node;
}

export const element = (name, attributes = {}, ...children) =>
    fill(document.createElement(name), attributes, children);

export const svg = (name, attributes = {}, ...children) =>
    fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

export const $ = id => document.getElementById(id);

// A canvas's context, scaled so that its unit is a CSS pixel, and its size in these.
export function pencil(canvas) {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth || 300, height = canvas.clientHeight || 150;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    return { context, width, height };
}

// A colour of the style sheet, as [red, green, blue].
export function color(name) {
    const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const digits = text.slice(1);
    return [0, 2, 4].map(k => parseInt(digits.slice(k, k + 2), 16));
}

export const css = ([r, g, b], alpha = 1) => `rgb(${r} ${g} ${b} / ${alpha})`;
export const mix = (a, b, share) => a.map((x, k) => x + (b[k] - x) * share);

export const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
