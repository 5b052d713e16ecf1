// The scratch pad's programs, run on the C tape: names become nodes or plain numbers, as in Python.

import { C, Op, fault } from "./engine.js";
import { PadError } from "./parse.js";

const OF_PAD = 1;
const SIGN = { "+": "+", "-": "-", "*": "*", "/": "/", "**": "^" };

// A result is {node} or, of a plain number, {number, isInteger}.
const isNode = x => x.node !== undefined;

// Returns {names: Map of name to node, root: the node to look at, hasGradients, number: the last plain number}.
export function compute(statements) {
    C.graph_start(OF_PAD);
    const names = new Map();
    let root = 0, passed = 0, number = null;

    function made(node, at) {
        if (!node) throw new PadError(at, fault());
        return { node };
    }

    function binary({ sign, at }, a, b) {
        const s = SIGN[sign].charCodeAt(0);
        if (isNode(a) && isNode(b)) return made(C.graph_binary(OF_PAD, s, a.node, b.node), at);
        if (isNode(a)) return made(C.graph_node_number(OF_PAD, s, a.node, b.number, +b.isInteger), at);
        if (isNode(b)) return made(C.graph_number_node(OF_PAD, s, a.number, b.node), at);
        const isInteger = a.isInteger && b.isInteger && sign !== "/" && !(sign === "**" && b.number < 0);
        return { number: numbers(sign, a.number, b.number, at), isInteger };
    }

    function numbers(sign, a, b, at) {
        if (sign === "+") return a + b;
        if (sign === "-") return a - b;
        if (sign === "*") return a * b;
        if (sign === "/" && b === 0) throw new PadError(at, "noQuotient", `${a} / ${b}`);
        if (sign === "/") return a / b;
        const power = C.page_pow(a, b);
        if (Number.isNaN(power)) throw new PadError(at, fault());
        return power;
    }

    function method({ name, at }, a) {
        if (!isNode(a)) throw new PadError(at, "padNumberMethod", name);
        if (name !== "backward") return made(C.graph_unary(OF_PAD, Op[name.toUpperCase()], a.node), at);
        if (C.graph_root(OF_PAD, a.node) < 0 || C.graph_backward(OF_PAD)) throw new PadError(at, fault());
        passed = a.node;
        return null;
    }

    function evaluate(e) {
        if (e === null) return null;
        switch (e.kind) {
            case "number":
                return { number: e.number, isInteger: e.isInteger };
            case "name":
                if (!names.has(e.name)) throw new PadError(e.at, "padName", e.name);
                return names.get(e.name);
            case "value": {
                const inner = operand(e.inner);
                if (isNode(inner)) throw new PadError(e.at, "padValueOfValue");
                return made(C.graph_leaf(OF_PAD, inner.number), e.at);
            }
            case "negative": {
                const inner = operand(e.inner);
                if (!isNode(inner)) return { number: -inner.number, isInteger: inner.isInteger };
                return binary({ sign: "*", at: e.at }, inner, { number: -1, isInteger: true });
            }
            case "method":
                return method(e, operand(e.inner));
            default:
                return binary(e, operand(e.left), operand(e.right));
        }
    }

    // backward() returns nothing that one could compute with
    function operand(e) {
        const result = evaluate(e);
        if (!result) throw new PadError(e.at, "padNothing");
        return result;
    }

    for (const { name, value, at } of statements) {
        const result = evaluate(value);
        if (name && !result) throw new PadError(at, "padNothing");
        if (name) names.set(name, result);
        if (result && isNode(result)) root = result.node;
        else if (result) number = { number: result.number, at: value.at };
    }
    root = passed || root;
    const nodes = new Map([...names].filter(([, x]) => isNode(x)).map(([name, x]) => [name, x.node]));
    return { names: nodes, root, hasGradients: passed !== 0, number };
}
