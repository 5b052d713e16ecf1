// Curves of losses over steps, on a logarithmic axis.

import { pencil } from "./elements.js";

// curves: [{values, color (a name of the style sheet), isDashed}], a value every so many steps
export function drawCurves(canvas, curves, every = 1) {
    const { context, width, height } = pencil(canvas);
    const style = getComputedStyle(document.documentElement);
    const ink = name => style.getPropertyValue(name).trim();
    const top = 8, bottom = height - 22;
    context.font = "11px system-ui, sans-serif";
    context.strokeStyle = ink("--line");
    context.fillStyle = ink("--faint");
    context.lineWidth = 1;

    let least = Infinity, most = -Infinity, n = 0;
    for (const { values } of curves) {
        n = Math.max(n, values.length);
        for (const value of values) {
            if (!(value > 0 && value < Infinity)) continue;
            least = Math.min(least, value);
            most = Math.max(most, value);
        }
    }
    if (n === 0 || least === Infinity) [least, most] = [0.1, 1];
    let low = Math.log10(least), high = Math.log10(most);
    if (high - low < 0.3) [low, high] = [(low + high) / 2 - 0.15, (low + high) / 2 + 0.15];

    // lines across at 1, 2, 5, 10 ...; fewer if there are many
    const decades = high - low;
    const marks = decades > 2.5 ? [1] : decades > 1.2 ? [1, 3] : decades > 0.6 ? [1, 2, 5] : [1, 1.5, 2, 2.5, 3, 4, 5, 7];
    const across = [];
    for (let power = Math.floor(low); power <= high; power++) {
        for (const mark of marks) {
            const value = Number(`${mark}e${power}`);
            if (Math.log10(value) >= low - 1e-9 && Math.log10(value) <= high + 1e-9) across.push(value);
        }
    }
    // all in one form
    const isLong = across[0] < 1e-3 || across.at(-1) >= 1e6;
    const written = value => (isLong ? value.toExponential().replace("+", "") : String(value));
    const room = Math.max(0, ...across.map(value => context.measureText(written(value)).width));
    const left = Math.max(46, room + 10), right = width - 24; // half of the last step's label is right of it
    const steps = Math.max(10, n - 1);
    const x = step => left + ((right - left) * step) / steps;
    const y = value => bottom - ((bottom - top) * (Math.log10(value) - low)) / (high - low);

    context.textAlign = "right";
    for (const value of across) {
        context.beginPath();
        context.moveTo(left, Math.round(y(value)) + 0.5);
        context.lineTo(right, Math.round(y(value)) + 0.5);
        context.stroke();
        context.fillText(written(value), left - 6, y(value) + 4);
    }
    context.textAlign = "center";
    const each = [1, 2, 5].flatMap(m => [0, 1, 2, 3, 4, 5].map(p => m * 10 ** p)).sort((a, b) => a - b)
        .find(size => steps / size <= Math.max(2, (right - left) / 70));
    for (let step = 0; step <= steps; step += each) context.fillText(String(step * every), x(step), height - 6);

    for (const { values, color, isDashed } of curves) {
        context.strokeStyle = ink(color);
        context.lineWidth = 2;
        context.lineJoin = "round";
        context.setLineDash(isDashed ? [5, 4] : []);
        context.beginPath();
        const stride = Math.max(1, Math.floor(values.length / 2000));
        for (let k = 0; k < values.length; k += stride) {
            if (values[k] > 0 && values[k] < Infinity) context.lineTo(x(k), y(values[k]));
        }
        context.stroke();
        if (values.length === 1 && values[0] > 0 && values[0] < Infinity) { // a line has no length then
            context.beginPath();
            context.fillStyle = ink(color);
            context.arc(x(0), y(values[0]), 3.5, 0, 2 * Math.PI);
            context.fill();
        }
    }
    context.setLineDash([]);
}
