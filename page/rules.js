// The rule of one node's step backward, written out with its numbers, as csrc/ops.h computes it.

import { Op, short, repr } from "./engine.js";

// operand.grad += slope * out.grad, for each operand: [formula, with numbers] of the slope
function slopes({ op, data, exponent }, a, b) {
    const out = short(data), x = a && short(a.data), y = b && short(b.data), k = short_(exponent);
    switch (op) {
        case Op.ADD:
            return [["1"], ["1"]];
        case Op.MUL:
            return [["b", y], ["a", x]];
        case Op.POW:
            return [[`${k} * a**${short_(exponent - 1)}`, `${k} * ${paren(x)}**${short_(exponent - 1)}`]];
        case Op.POWER:
            return [["b * a**(b - 1)", `${y} * ${paren(x)}**(${y} - 1)`], ["out * log(a)", `${out} * log(${x})`]];
        case Op.RELU:
            return [["out > 0", `${out} > 0`]];
        case Op.TANH:
            return [["1 - out**2", `1 - ${paren(out)}**2`]];
        case Op.EXP:
            return [["out", out]];
        case Op.LOG:
            return [["1 / a", `1 / ${paren(x)}`]];
        case Op.SIGMOID:
            return [["out * (1 - out)", `${out} * (1 - ${out})`]];
        case Op.SQRT:
            return [["1 / (2 * out)", `1 / (2 * ${out})`]];
        case Op.SIN:
            return [["cos(a)", `cos(${x})`]];
        case Op.COS:
            return [["-sin(a)", `-sin(${x})`]];
        default:
            return [["1"]];
    }
}

const paren = text => (text.startsWith("-") ? `(${text})` : text);
const short_ = k => (Number.isInteger(k) ? String(k) : repr(k));

// The slope's number, only to show: what is added to the gradients is computed by C.
function slope({ op, data, exponent }, a, b, second) {
    switch (op) {
        case Op.MUL: return second ? a.data : b.data;
        case Op.POW: return exponent * a.data ** (exponent - 1);
        case Op.POWER: return second ? data * Math.log(a.data) : b.data * a.data ** (b.data - 1);
        case Op.RELU: return data > 0 ? 1 : 0;
        case Op.TANH: return 1 - data ** 2;
        case Op.EXP: return data;
        case Op.LOG: return 1 / a.data;
        case Op.SIGMOID: return data * (1 - data);
        case Op.SQRT: return 1 / (2 * data);
        case Op.SIN: return Math.cos(a.data);
        case Op.COS: return -Math.sin(a.data);
        default: return 1;
    }
}

// How a node is written as an expression of its operands' names.
export function expression({ op, exponent }, a, b, name) {
    if (op === Op.POW) return `${a}**${short_(exponent)}`;
    if (op === Op.POWER) return `${a}**${b}`;
    if (op === Op.ADD || op === Op.MUL) return `${a} ${name} ${b}`;
    return `${name}(${a})`;
}

// The lines that explain the step of a node. before, after: the gradients of its operands by index.
export function explain(node, name, symbol, nodeAt, before, after) {
    const operands = [node.a, node.b].filter(i => i);
    const [a, b] = operands.map(nodeAt);
    const lines = [`${name(node.index)} = ${expression(node, name(node.a), b && name(node.b), symbol)}`];
    lines.push(`out.grad = ${short(node.grad)}`);
    slopes(node, a, b).forEach(([formula, numbers], k) => {
        const operand = k ? b : a, number = short(slope(node, a, b, k === 1));
        const letter = operands.length > 1 ? "ab"[k] : "a";
        const derivation = formula === "1" ? [formula] : [formula, numbers, number];
        lines.push([`d out/d ${letter}`, ...derivation.filter((x, i) => x !== derivation[i - 1])].join(" = "));
        const who = name(operand.index);
        const old = node.a === node.b && k ? null : before(operand.index);
        const sum = old === null || (node.a === node.b && operands.length > 1) ? "" : `: ${short(old)} → ${short(after(operand.index))}`;
        lines.push(`${who}.grad += ${paren(number)} * ${paren(short(node.grad))}${sum}`);
    });
    if (operands.length > 1 && node.a === node.b) lines.push(`${name(node.a)}.grad: ${short(before(node.a))} → ${short(after(node.a))}`);
    return lines;
}
