// The rule of one node's step backward, written out with its numbers, as csrc/ops.h computes it.

import { Op, repr, short } from "./engine.js";
import { t } from "./text.js";

const whole = k => (Number.isInteger(k) ? String(k) : repr(k));
const paren = text => (text.startsWith("-") ? `(${text})` : text);

// For each operand the slope of a node: its formula, the same with numbers, and its number. That is only to
// show: what is added to gradients is computed by C. names and numbers: of the node and of its operands.
function slopes(op, names, numbers, k) {
    const [out, a, b] = numbers;
    const [o, x, y] = numbers.map(number => paren(short(number)));
    const [z, p, q] = names.map(paren);
    switch (op) {
        case Op.MUL:
            return [[q, y, b], [p, x, a]];
        case Op.POW:
            return [[`${whole(k)} * ${p}**${whole(k - 1)}`, `${whole(k)} * ${x}**${whole(k - 1)}`, k * a ** (k - 1)]];
        case Op.POWER:
            return [
                [`${q} * ${p}**(${q} - 1)`, `${y} * ${x}**(${y} - 1)`, b * a ** (b - 1)],
                [`${z} * log(${p})`, `${o} * log(${x})`, out * Math.log(a)],
            ];
        case Op.RELU:
            return [[`${z} > 0`, `${o} > 0`, out > 0 ? 1 : 0]];
        case Op.TANH:
            return [[`1 - ${z}**2`, `1 - ${o}**2`, 1 - out ** 2]];
        case Op.EXP:
            return [[z, o, out]];
        case Op.LOG:
            return [[`1 / ${p}`, `1 / ${x}`, 1 / a]];
        case Op.SIGMOID:
            return [[`${z} * (1 - ${z})`, `${o} * (1 - ${o})`, out * (1 - out)]];
        case Op.SQRT:
            return [[`1 / (2 * ${z})`, `1 / (2 * ${o})`, 1 / (2 * out)]];
        case Op.SIN:
            return [[`cos(${p})`, `cos(${x})`, Math.cos(a)]];
        case Op.COS:
            return [[`-sin(${p})`, `-sin(${x})`, -Math.sin(a)]];
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
    const all = [node.index, ...operands], names = all.map(name), out = names[0];
    const found = slopes(node.op, names, all.map(data), node.exponent);
    const change = i => `${short(before(i))} → ${short(after(i))}`;
    const lines = [
        `${out} = ${expression(node, name(node.a), name(node.b), symbol)}`,
        `${out}.grad = ${short(node.grad)}`,
    ];
    operands.forEach((i, k) => {
        const [formula, numbers, slope] = found[k];
        const derivation = formula === "1" ? [formula] : [formula, numbers, paren(short(slope))];
        const part = `∂${out}/∂${name(i)}${isTwice ? ` (${k + 1} of 2)` : ""}`; // of one number used twice
        lines.push([part, ...derivation.filter((x, j) => x !== derivation[j - 1])].join(" = "));
        const sum = `${name(i)}.grad += ${paren(short(slope))} * ${paren(short(node.grad))}`;
        lines.push(isTwice ? sum : t("ruleChange", sum, change(i)));
    });
    if (isTwice) lines.push(t("ruleChange", `${name(node.a)}.grad`, change(node.a)));
    return lines;
}
