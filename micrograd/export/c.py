"""A graph as C source: a function for the forward pass and one for the backward pass.

The statements are those of the engine in the engine's order, so the numbers and gradients have the
same bits. Three things make the source short, and change no bits:

- A sum whose partial sums nothing else uses is one expression, or a loop where its terms stand side
  by side in the arrays. The gradient of each term is that of the sum.
- A sum that only a tanh uses, or another function whose slope goes by its result, has no place of
  its own: the gradient of the result is multiplied by the slope, and is then that of the sum.
- What is no function of inputs or parameters gets no gradient.

Where the engine adds 0.0 to a gradient of -0.0 first, and these do not, no sum can tell: the
gradients that they are added to begin at 0.0, and no sum of theirs is ever -0.0.
"""

from __future__ import annotations

import math
import re
import textwrap

from .listing import NO_SLOPE, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Optional

    from ..pure.value import Value
    from ..types import Leaves

    # a number in the source: an array and the index in it, or a constant as text and None. "-v" is
    # an array whose numbers are taken with the other sign
    Ref = tuple[str, Optional[int]]
    # `target += factor * g`, or without a factor `target += g`
    Addition = tuple[Ref, Optional[Ref], Ref]

__all__ = ["to_c"]

WIDTH = 100  # of a line
FEWEST = 4  # terms that are worth a loop
LONGEST = 500  # statements of a function
ONE, MINUS_ONE = ("1.0", None), ("-1.0", None)

# what a function of one operand is in C, and its slope, {a} being the operand and {v} the result
FUNCTIONS = {
    "ReLU": ("{a} < 0 ? 0.0 : {a}", "({v} > 0)"),
    "tanh": ("tanh({a})", "(1 - power({v}, 2.0))"),
    "exp": ("exp({a})", "{v}"),
    "log": ("log({a})", "(1 / {a})"),
    "sigmoid": ("sigmoid({a})", "({v} * (1 - {v}))"),
    "sqrt": ("sqrt({a})", "(1 / (2 * {v}))"),
    "sin": ("sin({a})", "cos({a})"),
    "cos": ("cos({a})", "-sin({a})"),
    "abs": ("fabs({a})", "(({a} > 0) - ({a} < 0))"),
    "take": ("{a}", ""),
}
BY_RESULT = ("tanh", "exp", "sigmoid", "sqrt")  # whose slopes need the result only

HELPERS = {
    "opaque": """
// a constant, which the compiler must not compute with: its tanh may have another last digit
static double opaque(double constant) {
    volatile double x = constant;
    return x;
}
""",
    "power": """
// pow of the C library: x*x for a 2 that the compiler sees may have another last digit
static double power(double x, double k) {
    volatile double base = x, exponent = k;
    return pow(base, exponent);
}
""",
    "power_slope": """
// how fast out = a**b moves with b
static double power_slope(double a, double out) {
    volatile double base = a;
    return a > 0 ? out * log(base) : a == 0 ? 0.0 : NAN;
}
""",
    "sigmoid": """
static double sigmoid(double x) {
    double e = exp(-x);
    if (isfinite(e) || !isfinite(x)) return 1 / (1 + e);
    e = exp(x);  // exp(-x) is too large for a double: another form of the same
    return e / (1 + e);
}
""",
}

GUARDS = """\
#include <float.h>
#include <math.h>
#include <stdio.h>

// a product and a sum are rounded one by one
#if defined __clang__
#pragma STDC FP_CONTRACT OFF
#elif defined __GNUC__
#pragma GCC optimize("fp-contract=off")
#elif defined _MSC_VER
#pragma fp_contract(off)
#endif
#if defined __FAST_MATH__
#error "-ffast-math and -Ofast give other numbers"
#endif
#if defined FLT_EVAL_METHOD && (FLT_EVAL_METHOD == 2 || FLT_EVAL_METHOD == -1)
#error "doubles are computed in more than 64 bits; on 32-bit x86 add -msse2 -mfpmath=sse"
#endif
"""


def to_c(
    output: Value | Sequence[Value],
    inputs: Leaves = (),
    parameters: Leaves | None = None,
    name: str = "f",
) -> str:
    """Write a graph as a C99 file: its forward and its backward pass, statement by statement.

    Compiled with `cc -O2 -c f.c` it gives the numbers and gradients of `forward()` and
    `backward()`, bit for bit where the C library is the one that Python uses. With -DMAIN it is a
    program that prints them at the present numbers of the graph's leaves.

    Args:
        output: a Value, whose functions are then
                double f_forward(x, p, v), and f_backward(x, p, v, dv, dx, dp);
            or a list of Values:
                f_forward(x, p, y, v), and f_backward(x, p, v, dy, dv, dx, dp).
            The file says what the arrays are.
        inputs: the leaves that are x: a list, or a dict by name.
        parameters: the leaves that are p: a Module, a list, or a dict by name. A leaf that is
            neither input nor parameter is a constant, and its present number stands in the source.
        name: what the functions' names begin with.

    Returns:
        The source, a text. Both engines give the same. Nothing of the graph changes.

    Raises:
        TypeError: something is no Value, or one of the other engine.
        ValueError: an input or parameter is no leaf or is given twice; an input is not in the
            graph; the output was computed under no_grad; the graph has nodes of your own; or name
            is no name in C.

    Example:
        >>> x, w = Value(0.5), Value(-2.0)
        >>> source = to_c((x * w).tanh(), [x], {"w": w}, name="neuron")
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"name must be letters, digits and _, a letter first, not {name!r}")
    return _Writer(Listing(output, inputs, parameters), name).source()


class _Writer:
    """Writes the source of a listing."""

    def __init__(self, listing: Listing, name: str) -> None:
        self.listing, self.nodes, self.name = listing, listing.nodes, name
        self.fused = self._fused()  # by position: the position of the user that it is a part of
        self.whole = [*range(len(self.nodes))]  # and that of all that it is a part of
        for i in sorted(self.fused, reverse=True):  # users first
            self.whole[i] = self.whole[self.fused[i]]
        self.depends: list[bool] = []  # whether it is a function of inputs or parameters
        self.slots: dict[int, int] = {}  # the index in v of what has one
        for i, (op, operands, _) in enumerate(self.nodes):
            is_leaf = op in ("input", "parameter")
            self.depends.append(is_leaf or any(self.depends[j] for j in operands))
            if operands and i not in self.fused and op != "minus":
                self.slots[i] = len(self.slots)

    def _fused(self) -> dict[int, int]:
        uses = [0] * len(self.nodes)
        for i in self.listing.outputs:
            uses[i] += 2
        for node in self.nodes:
            for j in node.operands:
                uses[j] += 1
        fused = {}
        for i, (op, operands, _) in enumerate(self.nodes):
            for place, j in enumerate(operands):
                part = self.nodes[j].op
                in_sum = op == "+" and (part == "*" or (part == "+" and place == 0))
                if uses[j] == 1 and (in_sum or (part == "+" and op in BY_RESULT)):
                    fused[j] = i
        return fused

    # -------------------------------------------------------------------------
    # numbers

    def ref(self, i: int) -> Ref:
        """Return where the number of a node is."""
        op, operands, number = self.nodes[i]
        if op == "constant":
            assert number is not None
            return _literal(number), None
        if op == "minus":
            array, index = self.ref(operands[0])
            return array[1:] if array[0] == "-" else f"-{array}", index
        if op in ("input", "parameter"):
            return "x" if op == "input" else "p", int(number or 0)
        return "v", self.slots[i]

    def gradient(self, i: int) -> Ref | None:
        """Return where the gradient of a node is, or None if it has none."""
        i = self.whole[i]
        if not self.depends[i] or self.nodes[i].op in NO_SLOPE:
            return None
        array, index = self.ref(i)
        return f"d{array}", index

    def argument(self, i: int, text: str) -> str:
        """Return a node's number, which has this text, as the argument of a function."""
        return text if self.depends[i] else f"opaque({text})"

    # -------------------------------------------------------------------------
    # the forward pass

    def terms(self, i: int) -> list[tuple[Ref, Ref | None]]:
        """Return the terms of a sum, each a product of two numbers, or one and None."""
        found = []
        while True:
            a, b = self.nodes[i].operands
            found.append(b)
            if a not in self.fused or self.nodes[a].op != "+":
                break
            i = a
        return [self.term(j) for j in [a, *reversed(found)]]

    def term(self, i: int) -> tuple[Ref, Ref | None]:
        if i not in self.fused:
            return self.ref(i), None
        a, b = self.nodes[i].operands
        return self.ref(a), self.ref(b)

    def forward(self) -> Iterator[str]:
        for i in self.slots:
            op, operands, number = self.nodes[i]
            v = _text(self.ref(i))
            a = operands[0]
            if op == "+":
                yield from _sum(v, self.terms(i))
            elif op == "*":
                yield f"{v} = {_text(self.ref(a))} * {_text(self.ref(operands[1]))};"
            elif op == "**k":
                assert number is not None
                yield f"{v} = power({_text(self.ref(a))}, {_literal(number)});"
            elif op == "**":
                yield f"{v} = power({', '.join(_text(self.ref(j)) for j in operands)});"
            elif op == "largest":
                yield from _largest(v, [self.ref(j) for j in operands])
            elif a in self.fused:
                lines = [*_sum("", self.terms(a))]
                text = FUNCTIONS[op][0]
                if len(lines) == 1 and len(lines[0]) + len(text) < WIDTH:
                    yield f"{v} = {text.format(a=self.argument(a, lines[0][3:-1]))};"
                else:
                    yield from _sum(v, self.terms(a))
                    yield f"{v} = {text.format(a=self.argument(a, v))};"
            else:
                x = self.argument(a, _text(self.ref(a)))
                yield f"{v} = {FUNCTIONS[op][0].format(a=x)};"
        if not self.listing.is_single:
            for k, i in enumerate(self.listing.outputs):
                yield f"y[{k}] = {_text(self.ref(i))};"

    # -------------------------------------------------------------------------
    # the backward pass

    def backward(self) -> Iterator[str]:
        run: list[list[Addition]] = []  # the additions of nodes one after the other
        for step in self.steps():
            if isinstance(step, str):
                yield from _additions(run)
                run = []
                yield step
            elif step:
                run.append(step)
        yield from _additions(run)

    def steps(self) -> Iterator[str | list[Addition]]:
        """Yield what backward does at each node: a statement, or the additions of a node."""
        outputs = [*zip(self.listing.outputs, self.listing.passes)]
        for k, (output, found) in reversed([*enumerate(outputs)]):
            gradient = self.gradient(output)
            if gradient:
                is_single = self.listing.is_single
                yield f"{_text(gradient)} {'= 1.0' if is_single else f'+= dy[{k}]'};"
            for i in reversed(found):
                if self.nodes[i].operands and self.gradient(i):
                    yield from self.rule(i)

    def rule(self, i: int) -> Iterator[str | list[Addition]]:
        """Yield what backward does at this node."""
        op, operands, number = self.nodes[i]
        g = self.gradient(i)
        assert g is not None
        if op == "+":
            own = [j for j in operands if j not in self.fused]
            yield [(to, None, g) for to in map(self.gradient, own) if to]
            return
        if op == "*":
            a, b = operands
            pairs = (self.gradient(a), self.ref(b)), (self.gradient(b), self.ref(a))
            yield [(to, factor, g) for to, factor in pairs if to]
            return
        a, v = operands[0], _text(self.ref(i))
        if op == "take":
            to = self.gradient(a)
            yield [(to, None, g)] if to else []
            return
        if a in self.fused:
            yield f"{_text(g)} *= {FUNCTIONS[op][1].format(v=v)};"
            return
        x = _text(self.ref(a))
        if op == "**k":
            assert number is not None
            slopes = [f"({_literal(number)} * power({x}, {_literal(number - 1)}))"]
        elif op == "**":
            y = _text(self.ref(operands[1]))
            slopes = [f"({y} * power({x}, {y} - 1))", f"power_slope({x}, {v})"]
        else:
            slopes = [FUNCTIONS[op][1].format(a=x, v=v)]
        for j, slope in zip(operands, slopes):
            to = self.gradient(j)
            if to:
                yield f"{_text(to)} += {slope} * {_text(g)};"

    # -------------------------------------------------------------------------
    # the file

    def source(self) -> str:
        listing, name = self.listing, self.name
        y, dy = ([], []) if listing.is_single else (["double *y"], ["const double *dy"])
        x, p, v = "const double *x", "const double *p", "const double *v"
        forward, backward = [*self.forward()], [*self.backward()]
        if listing.is_single:
            forward.append(f"return {_text(self.ref(listing.outputs[0]))};")
        if self.slots:
            backward.insert(0, f"for (int i = 0; i < {name}_values; i++) dv[i] = 0.0;")
        kind = "double" if listing.is_single else "void"
        code = "\n".join(
            [
                *_function(kind, f"{name}_forward", [x, p, *y, "double *v"], forward),
                "",
                *_function(
                    "void",
                    f"{name}_backward",
                    [x, p, v, *dy, "double *dv", "double *dx", "double *dp"],
                    backward,
                ),
            ]
        )
        helpers = [text for key, text in HELPERS.items() if re.search(rf"\b{key}\(", code)]
        arrays = [self._numbers("x", "inputs"), self._numbers("p", "parameters")]
        head = [self._header(), GUARDS, self._sizes(), *arrays]
        return "\n".join([*head, *helpers, code, "", self._main(), ""])

    def _header(self) -> str:
        name, is_single = self.name, self.listing.is_single
        result = "It returns the result." if is_single else "The results are in y."
        of = "the result" if is_single else "the results, each times its number in dy,"
        return textwrap.dedent(f"""\
            // Written by micrograd.export.to_c: the forward and the backward pass of a graph.
            //
            //     cc -O2 -c {name}.c                     # for another program
            //     cc -O2 -DMAIN {name}.c -lm && ./a.out  # to see what it computes
            //
            // {name}_forward computes the graph for the inputs x and the parameters p, and
            // keeps its numbers in v, an array of {name}_values. {result}
            //
            // {name}_backward adds to dx and dp the derivatives of {of}
            // by x and by p; set these to 0 before. v is what forward has left there, and dv an
            // array of as many doubles.
            //
            // All numbers are those of micrograd, to the last bit, if the C library is the same.
            // Where Python raises an error, as for the logarithm of 0, they are infinite or nan.
            """)

    def _sizes(self) -> str:
        sizes = {
            "inputs": len(self.listing.inputs),
            "parameters": len(self.listing.parameters),
            "values": len(self.slots),
            "outputs": len(self.listing.outputs),
        }
        return f"enum {{ {', '.join(f'{self.name}_{key} = {n}' for key, n in sizes.items())} }};\n"

    def _numbers(self, array: str, kind: str) -> str:
        """Return the present numbers of inputs or parameters as an array, with their names."""
        names = getattr(self.listing, kind)
        numbers = [_literal(x) for x in self.listing.numbers[kind]] or ["0.0"]
        lines = [
            f"// {array}[{first}]{f' .. {array}[{last}]' if last > first else ''}  {called}"
            for first, last, called in _named_runs(names)
        ]
        heading = f"// the {kind}, and their numbers when this was written" if names else ""
        wrapped = textwrap.wrap(", ".join(numbers), WIDTH - 4, break_on_hyphens=False)
        listed = textwrap.indent("\n".join(wrapped), "    ")
        of = f"double {self.name}_{array}[{len(numbers)}] = {{\n{listed}\n}};\n"
        return "\n".join([*filter(None, [heading]), *lines, of])

    def _main(self) -> str:
        name, is_single = self.name, self.listing.is_single
        sizes = {kind: f"{name}_{kind} + 1" for kind in ("inputs", "parameters", "values")}
        lines = [
            f"static double v[{sizes['values']}], dv[{sizes['values']}];",
            f"static double dx[{sizes['inputs']}], dp[{sizes['parameters']}];",
        ]
        if is_single:
            lines += [
                f'printf("%.17g\\n", {name}_forward({name}_x, {name}_p, v));',
                f"{name}_backward({name}_x, {name}_p, v, dv, dx, dp);",
            ]
        else:
            lines += [
                f"static double y[{name}_outputs], dy[{name}_outputs];",
                f"for (int i = 0; i < {name}_outputs; i++) dy[i] = 1.0;",
                f"{name}_forward({name}_x, {name}_p, y, v);",
                f"{name}_backward({name}_x, {name}_p, v, dy, dv, dx, dp);",
                f'for (int i = 0; i < {name}_outputs; i++) printf("y[%d] = %.17g\\n", i, y[i]);',
            ]
        for array, kind in ("dx", "inputs"), ("dp", "parameters"):
            if getattr(self.listing, kind):
                loop = f"for (int i = 0; i < {name}_{kind}; i++)"
                lines.append(f'{loop} printf("{array}[%d] = %.17g\\n", i, {array}[i]);')
        lines.append("return 0;")
        return "\n".join(
            ["#if defined MAIN", "int main(void) {", *(f"    {line}" for line in lines)]
            + ["}", "#endif"]
        )


# -----------------------------------------------------------------------------
# pieces of source


def _literal(x: float) -> str:
    if math.isnan(x):
        return "NAN"
    if math.isinf(x):
        return "INFINITY" if x > 0 else "-INFINITY"
    return repr(x)


def _text(ref: Ref, step: int | None = None) -> str:
    """Return a number as text; with a step that of a loop over i, which begins at the ref."""
    array, index = ref
    if index is None:
        return array
    if step:
        of = "i" if abs(step) == 1 else f"{abs(step)} * i"
        sign = "+" if step > 0 else "-"
        return f"{array}[{index} {sign} {of}]" if index or step < 0 else f"{array}[{of}]"
    return f"{array}[{index}]"


def _added(term: tuple[Ref, Ref | None], steps: Sequence[int | None] = (None, None)) -> str:
    """Return a term with the sign before it."""
    a, b = term
    if b == MINUS_ONE and a != MINUS_ONE:  # c + a * -1.0 is c - a
        a, b = (a[0][1:] if a[0][0] == "-" else f"-{a[0]}", a[1]), None
    text = _text(a, steps[0])
    sign = "+"
    if text[0] == "-":
        sign, text = "-", text[1:]
    return f"{sign} {text}" if b is None else f"{sign} {text} * {_text(b, steps[1])}"


def _sum(v: str, terms: Sequence[tuple[Ref, Ref | None]]) -> Iterator[str]:
    """Yield `v = ...;`, in several statements where it is long, and loops where these can be."""
    a, b = terms[0]
    line = f"{v} = {_text(a)}" if b is None else f"{v} = {_text(a)} * {_text(b)}"
    for run in _runs(terms[1:]):
        if len(run) >= FEWEST:
            if line:
                yield f"{line};"
                line = ""
            sign, text = _added(run[0], _steps(run)).split(" ", 1)
            yield f"for (int i = 0; i < {len(run)}; i++) {v} {sign}= {text};"
        else:
            for term in run:
                if len(line) > WIDTH - 35:
                    yield f"{line};"
                    line = ""
                line = f"{line or f'{v} = {v}'} {_added(term)}"
    if line:
        yield f"{line};"


def _largest(v: str, refs: Sequence[Ref]) -> Iterator[str]:
    yield f"{v} = {_text(refs[0])};"
    for run in _runs([(ref,) for ref in refs[1:]]):
        [step] = _steps(run) if len(run) >= FEWEST else [None]
        for (ref,) in run[:1] if step else run:
            text = _text(ref, step)
            statement = f"if ({text} > {v}) {v} = {text};"
            yield f"for (int i = 0; i < {len(run)}; i++) {statement}" if step else statement


def _additions(nodes: Sequence[Sequence[Addition]]) -> Iterator[str]:
    """Yield the statements of nodes one after the other, in loops where these can be."""
    flat = [tuple(ref for addition in node for ref in addition) for node in nodes]
    for run in _runs(flat):
        steps = _steps(run) if len(run) >= FEWEST else []
        for refs in run[:1] if steps else run:
            statements = [
                _addition(refs[k : k + 3], steps[k : k + 3] or (None,) * 3)
                for k in range(0, len(refs), 3)
            ]
            if steps:
                text = " ".join(statements)
                text = text if len(statements) == 1 else f"{{ {text} }}"
                yield f"for (int i = 0; i < {len(run)}; i++) {text}"
            else:
                yield from statements


def _addition(refs: Sequence[Any], steps: Sequence[int | None]) -> str:
    to, factor, g = refs
    target, amount = _text(to, steps[0]), _text(g, steps[2])
    if factor is None or factor == ONE:
        return f"{target} += {amount};"
    if factor == MINUS_ONE:
        return f"{target} -= {amount};"
    return f"{target} += {_text(factor, steps[1])} * {amount};"


def _runs(items: Sequence[Any]) -> Iterator[list[Any]]:
    """Divide items, tuples of refs, into runs in which each ref moves by the same step."""
    run: list[Any] = []
    steps: list[int | None] | None = None
    for item in items:
        if run:
            following = _steps([run[-1], item])
            if following is None or (steps is not None and following != steps):
                if len(run) == 2 and following is not None:  # the second may begin a run
                    yield run[:1]
                    run = run[1:]
                    steps = following
                else:
                    yield run
                    run, steps = [], None
            else:
                steps = following
        run.append(item)
    if run:
        yield run


def _steps(run: Sequence[Any]) -> Any:
    """Return by how much each ref moves from the first item to the second; None if it cannot."""
    if len(run) < 2 or len(run[0]) != len(run[1]):
        return None
    steps: list[int | None] = []
    for a, b in zip(run[0], run[1]):
        if a is None or b is None or a[0] != b[0]:
            if a is not b:
                return None
            steps.append(0)
        else:
            steps.append(0 if a[1] is None else b[1] - a[1])
    return steps if any(steps) else None


def _named_runs(names: list[str]) -> Iterator[tuple[int, int, str]]:
    """Yield the first and last index and the names of those that are numbered one by one."""
    first = 0
    for k in range(1, len(names) + 1):
        if k == len(names) or _following(names[k - 1]) != names[k]:
            of = _comment(names[first])
            yield first, k - 1, of if k - 1 == first else f"{of} .. {_comment(names[k - 1])}"
            first = k


def _following(name: str) -> str:
    """Return the name with the number at its end made larger by 1, or one that is none."""
    stem, digits = re.fullmatch(r"(.*?)(0|[1-9]\d*|)", name, re.DOTALL).groups()  # type: ignore
    return f"{stem}{int(digits) + 1}" if digits else ""


def _comment(name: str) -> str:
    """Return a name as it may stand in a comment: without line ends, backslashes and trigraphs."""
    return "".join(c if c.isprintable() and c not in "\\?" else "_" for c in name)


def _function(kind: str, name: str, parameters: list[str], lines: list[str]) -> list[str]:
    """Return a function of these statements, the last of which may return its result.

    A long one calls others for parts of it: compilers need a time that grows faster than functions.
    """
    before: list[str] = []
    arguments = [re.sub(r".*\W", "", parameter) for parameter in parameters]
    if len(lines) > LONGEST:
        body, rest = lines[:-1], lines[-1:]
        calls = []
        for k in range(0, len(body), LONGEST):
            part = f"{name}_{k // LONGEST + 1}"
            before += _function("static void", part, parameters, body[k : k + LONGEST]) + [""]
            calls.append(f"{part}({', '.join(arguments)});")
        lines = calls + rest
    text = "\n".join(lines)
    unused = [f"(void){word};" for word in arguments if not re.search(rf"\b{word}\b", text)]
    heading = f"{kind} {name}({', '.join(parameters)}) {{"
    return [*before, heading, *(f"    {line}" for line in [*unused, *lines]), "}"]
