// The engine: csrc/ and the page's C as WebAssembly, and what it takes to call them.

import { t } from "./text.js";

export const C = {}; // its exported functions, once it is loaded

// Returns how many bytes it has.
export async function load() {
    const base64 = document.getElementById("engine").textContent.trim();
    const packed = new Blob([Uint8Array.from(atob(base64), c => c.charCodeAt(0))]);
    const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
    const bytes = await new Response(stream).arrayBuffer();
    const { instance } = await WebAssembly.instantiate(bytes);
    Object.assign(C, instance.exports);
    C._initialize();
    return bytes.byteLength;
}

// Views of C's arrays. The memory may move when it grows, so a view is made anew for each use.
export const view = (Type, pointer, n) => new Type(C.memory.buffer, pointer, n);
export const doubles = (pointer, n) => view(Float64Array, pointer, n);

function string(pointer) {
    const bytes = view(Uint8Array, pointer);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
}

export const repr = x => string(C.page_repr(x)); // as Python writes it
export const fixed = x => string(C.page_fixed(x)); // as Python's :.6f
export const opName = op => string(C.page_op_name(op));

// Some of the enum Op in csrc/micrograd.h. A test compares the two.
export const Op = {
    SHIFT: 1, ADD: 3, MUL: 4, POW: 5, POWER: 6, RELU: 7, TANH: 8, EXP: 9, LOG: 10, SIGMOID: 11, SQRT: 12, SIN: 13, COS: 14,
};

const Fault = { MEMORY: 1, FORWARD: 2, BACKWARD: 3, DIVISION: 4 };

// What failed last: a function that returns it in words.
export function fault() {
    const pointer = C.page_fault();
    const [code, op, operands] = view(Int32Array, pointer, 3);
    const [x, k] = doubles(pointer + 16, 2);
    if (code === Fault.MEMORY) return () => t("noMemory");
    const sign = code === Fault.DIVISION ? "/" : isPower(op) ? "**" : opName(op);
    const what = operands === 2 ? `${repr(x)} ${sign} ${repr(k)}` : `${sign}(${repr(x)})`;
    const key = { [Fault.DIVISION]: "noQuotient", [Fault.BACKWARD]: "noSlope" }[code] ?? reason(op, x, k);
    return () => t(key, what, repr(x), repr(k + 1)); // x ** k is the slope of x ** (k + 1)
}

const isPower = op => op === Op.POW || op === Op.POWER;
const REASONS = { [Op.LOG]: "noLog", [Op.SQRT]: "noSqrt", [Op.SIN]: "noSin", [Op.COS]: "noCos" };

function reason(op, x, k) {
    if (op === Op.LOG && x === 0) return "noLogZero";
    if (!isPower(op)) return REASONS[op] ?? "noFloat";
    if (x === 0) return k === -1 ? "noInverseOne" : k > -1 ? "noInverseSlope" : "noInverse";
    return x < 0 && !Number.isInteger(k) ? "noRoot" : "noPower";
}

// A few digits, for where there is little room.
export function short(x) {
    if (!Number.isFinite(x)) return repr(x);
    const size = Math.abs(x);
    if (size !== 0 && (size < 1e-4 || size >= 1e5)) return x.toExponential(2).replace("e+", "e");
    return x.toFixed(4);
}
