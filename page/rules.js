// The rule of one node's step backward, written out with its numbers, as csrc/ops.h computes it.

import { Op, repr, short } from "./engine.js";

const whole = k => (Number.isInteger(k) ? String(k) : repr(k));
const paren = text => (text.startsWith("-") ? `(${text})` : text);

// For each operand the slope of out = op(a, b): its formula, the same with numbers, and its number. That is
// only to show: what is added to gradients is computed by C.
function slopes(op, out, a, b, k) {
    const [o, x, y] = [out, a, b].map(number => number !== undefined && paren(short(number)));
    switch (op) {
        case Op.MUL:
            return [["b", y, b], ["a", x, a]];
        case Op.POW:
            return [[`${whole(k)} * a**${whole(k - 1)}`, `${whole(k)} * ${x}**${whole(k - 1)}`, k * a ** (k - 1)]];
        case Op.POWER:
            return [
                ["b * a**(b - 1)", `${y} * ${x}**(${y} - 1)`, b * a ** (b - 1)],
                ["out * log(a)", `${o} * log(${x})`, out * Math.log(a)],
            ];
        case Op.RELU:
            return [["out > 0", `${o} > 0`, out > 0 ? 1 : 0]];
        case Op.TANH:
            return [["1 - out**2", `1 - ${o}**2`, 1 - out ** 2]];
        case Op.EXP:
            return [["out", o, out]];
        case Op.LOG:
            return [["1 / a", `1 / ${x}`, 1 / a]];
        case Op.SIGMOID:
            return [["out * (1 - out)", `${o} * (1 - ${o})`, out * (1 - out)]];
        case Op.SQRT:
            return [["1 / (2 * out)", `1 / (2 * ${o})`, 1 / (2 * out)]];
        case Op.SIN:
            return [["cos(a)", `cos(${x})`, Math.cos(a)]];
        case Op.COS:
            return [["-sin(a)", `-sin(${x})`, -Math.sin(a)]];
        default: // a sum
            return [["1", "1", 1], ["1", "1", 1]];
    }
}

// A node as an expression of its operands' names.
export function expression({ op, exponent }, a, b, name) {
    if (op === Op.POW) return `${a}**${whole(exponent)}`;
    if (op === Op.POWER) return `${a}**${b}`;
    if (op === Op.ADD || op === Op.MUL) return `${a} ${name} ${b}`;
    return `${name}(${a})`;
}

// The lines that explain the step of a node. name, data, before and after take the index of a node: its name, its
// number, its gradient before the step and after it.
export function explain(node, symbol, { name, data, before, after }) {
    const operands = [node.a, node.b].filter(i => i), isTwice = node.a === node.b;
    const [a, b] = operands.map(data);
    const change = i => `${short(before(i))} → ${short(after(i))}`;
    const lines = [
        `${name(node.index)} = ${expression(node, name(node.a), name(node.b), symbol)}`,
        `out.grad = ${short(node.grad)}`,
    ];
    operands.forEach((i, k) => {
        const [formula, numbers, slope] = slopes(node.op, node.data, a, b, node.exponent)[k];
        const derivation = formula === "1" ? [formula] : [formula, numbers, paren(short(slope))];
        lines.push([`d out/d ${"ab"[k]}`, ...derivation.filter((x, j) => x !== derivation[j - 1])].join(" = "));
        const sum = `${name(i)}.grad += ${paren(short(slope))} * ${paren(short(node.grad))}`;
        lines.push(isTwice ? sum : `${sum}: ${change(i)}`);
    });
    if (isTwice) lines.push(`${name(node.a)}.grad: ${change(node.a)}`);
    return lines;
}
