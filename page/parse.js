// The scratch pad's language: assignments (= += -= *= /= **=), + - * / **, unary minus, parentheses, numbers,
// names, Value(number), the methods below, comments. It is Python's, as far as it goes, with Python's
// precedence. A program becomes a list of statements:
//
//     {name: "a" or null, value: expression, at}
//
// and an expression one of
//
//     {kind: "number", number, isInteger}    {kind: "name", name}    {kind: "value", inner}
//     {kind: "negative", inner}    {kind: "binary", sign, left, right}    {kind: "method", name, inner}
//
// each with the position `at` from which an error is reported.

import { t } from "./text.js";

const MOST_DEPTH = 500; // of expressions in one another: what follows them calls itself
const METHODS = ["tanh", "relu", "exp", "log", "sigmoid", "sqrt", "sin", "cos", "backward"];

export class PadError extends Error {
    // what: a key of text.js, or a function that returns the words, as fault() does
    constructor(at, what, ...numbers) {
        super(what);
        this.at = at;
        this.words = typeof what === "function" ? what : () => t(what, ...numbers);
    }
}

// Python's, of which none is read here. A test compares the two.
const KEYWORDS = ("False None True and as assert async await break class continue def del elif else except "
    + "finally for from global if import in is lambda nonlocal not or pass raise return try while with yield").split(" ");

const TOKEN = /[ \t]+|#[^\n]*|(\n|;)|((?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|([_\p{XID_Start}]\p{XID_Continue}*)|(\*\*=?|[-+*/]=?|[=().,])|(.)/gsu;

// Characters that Chinese input methods type, and Python does not read, beside the full-width forms of ASCII.
const LIKE = { "。": ".", "、": ",", "×": "*", "÷": "/", "−": "-" };

function problemWith(character, at) {
    if (character === "^") return new PadError(at, "padPower");
    const meant = LIKE[character] ?? character.normalize("NFKC");
    if (meant !== character && /^[ -~]$/.test(meant)) return new PadError(at, "padWide", character, meant);
    return new PadError(at, "padCharacter", character);
}

function tokens(text) {
    const found = [];
    for (const match of text.matchAll(TOKEN)) {
        const [all, end, number, name, sign, wrong] = match;
        const at = match.index;
        if (wrong) throw problemWith(wrong, at);
        if (KEYWORDS.includes(name)) throw new PadError(at, "padStatement", name);
        // before parsing, because its argument may be a string, which is no token
        if (/^print\s*\(/.test(text.slice(at, at + 20))) throw new PadError(at, "padPrint");
        const kind = end ? "end" : number ? "number" : name ? "name" : sign ? "sign" : null;
        // Python takes names in this form, in which full-width letters are the plain ones
        if (kind) found.push({ kind, text: name ? all.normalize("NFKC") : all, at });
    }
    found.push({ kind: "end", text: "", at: text.length });
    return found;
}

export function parse(text) {
    const list = tokens(text);
    let k = 0, open = 0; // open: how many unary() have begun and not ended
    const is = sign => list[k].kind === "sign" && list[k].text === sign;
    const accept = sign => is(sign) && list[k++];
    const expect = sign => {
        if (!accept(sign)) throw new PadError(list[k].at, "padExpected", sign, found());
    };
    const found = () => (list[k].text.trim() ? `“${list[k].text}”` : "⏎");

    // an expression of others; a long sum is one of sums in sums, too
    function made(e) {
        const depth = 1 + Math.max(...[e.inner, e.left, e.right].map(part => part?.depth ?? 0));
        if (depth > MOST_DEPTH) throw new PadError(e.at, "padDeep", MOST_DEPTH);
        return { ...e, depth };
    }

    function sum() {
        let left = product();
        for (let sign; (sign = accept("+") || accept("-")); ) {
            left = made({ kind: "binary", sign: sign.text, left, right: product(), at: sign.at });
        }
        return left;
    }

    function product() {
        let left = unary();
        for (let sign; (sign = accept("*") || accept("/")); ) {
            left = made({ kind: "binary", sign: sign.text, left, right: unary(), at: sign.at });
        }
        return left;
    }

    // -a**2 is -(a**2), and a**-2 is allowed
    function unary() {
        if (++open > MOST_DEPTH) throw new PadError(list[k].at, "padDeep", MOST_DEPTH);
        const result = signed();
        open--;
        return result;
    }

    function signed() {
        const minus = accept("-");
        if (minus) return made({ kind: "negative", inner: unary(), at: minus.at });
        if (accept("+")) return unary();
        return power();
    }

    function power() {
        const left = trailer();
        const sign = accept("**");
        return sign ? made({ kind: "binary", sign: "**", left, right: unary(), at: sign.at }) : left;
    }

    function trailer() {
        let inner = atom();
        while (accept(".")) {
            const { kind, text: name, at } = list[k];
            if (kind !== "name" || !METHODS.includes(name)) {
                throw new PadError(at, "padMethod", found(), METHODS.join(", "));
            }
            k++;
            expect("(");
            expect(")");
            inner = made({ kind: "method", name, inner, at });
        }
        return inner;
    }

    function atom() {
        const { kind, text: word, at } = list[k];
        if (kind === "number") {
            k++;
            return { kind, number: Number(word.replaceAll("_", "")), isInteger: /^[\d_]+$/.test(word), at };
        }
        if (kind === "name") {
            k++;
            if (word === "Value") {
                expect("(");
                const inner = sum();
                expect(")");
                return made({ kind: "value", inner, at });
            }
            if (is("(") && METHODS.includes(word)) throw new PadError(at, "padFunction", word);
            if (is("(")) throw new PadError(at, "padNoFunction", word, METHODS.map(name => `x.${name}()`).join(", "));
            return { kind, name: word, at };
        }
        if (accept("(")) {
            const inner = sum();
            expect(")");
            return inner;
        }
        throw new PadError(at, "padOperand", found());
    }

    const statements = [];
    while (k < list.length) {
        if (list[k].kind === "end") {
            k++;
            continue;
        }
        const { kind, text: word, at } = list[k];
        const [, operation] = kind === "name" ? list[k + 1].text.match(/^(\W*)=$/) ?? [] : [];
        let name = null, left = null, sign = null;
        if (operation !== undefined) {
            if (word === "Value") throw new PadError(at, "padReserved", word);
            name = word;
            if (operation) [left, sign] = [atom(), list[k].at]; // a += b is a = a + (b)
            else k++;
            k++;
        }
        const right = sum();
        const value = left ? made({ kind: "binary", sign: operation, left, right, at: sign }) : right;
        statements.push({ name, value, at });
        if (is(",")) throw new PadError(list[k].at, "padComma");
        if (list[k].kind !== "end") throw new PadError(list[k].at, "padEnd", found());
    }
    return statements;
}
