"""A graph as C source: a function for the forward pass and one for the backward pass.

The statements are those of the engine in the engine's order, so the numbers and gradients have the
same bits. Three things make the source short, and change no bits:

- A sum whose partial sums nothing else uses is one expression, or a loop where its terms stand side
  by side in the arrays. The gradient of each term is that of the sum.
- A sum that only a tanh uses, or another function whose slope goes by its result, has no element
  of v: the gradient of the result is multiplied by the slope, and is then that of the sum.
- What is no function of inputs or parameters gets no gradient.

Where the engine adds 0.0 to a gradient of -0.0 first, and these do not, no result differs: the
gradients that they are added to begin at 0.0, and no sum of theirs is ever -0.0.
"""

from __future__ import annotations

import re

from ..shown import shown
from .c_file import CFile
from .c_text import WIDTH, addition_statements, largest_statements, literal, sum_statements, text_of
from .listing import NO_SLOPE, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..pure.value import Value
    from ..types import Leaves
    from .c_text import Addition, Ref

__all__ = ["to_c"]

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
# whose slopes need the result only, and whose operand stands once in the text
BY_RESULT = ("tanh", "exp", "sigmoid", "sqrt")


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
        TypeError: something is no Value, or one of the other engine; or name is no text.
        ValueError: an input or parameter is no leaf or is given twice; an input is not in the
            graph; the output was computed under no_grad; the graph has nodes of your own; or name
            is no name in C.

    Example:
        >>> x, w = Value(0.5), Value(-2.0)
        >>> source = to_c((x * w).tanh(), [x], {"w": w}, name="neuron")
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a text, not {shown(name)}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"name must be letters, digits and _, a letter first, not {shown(name)}")
    listing = Listing(output, inputs, parameters)
    passes = _Passes(listing, name)
    file = CFile(listing, name, len(passes.slots))
    return file.text([*passes.forward()], [*passes.backward()])


class _Passes:
    """Writes the statements of a listing."""

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
            return literal(number), None
        if op == "minus":
            array, index = self.ref(operands[0])
            return array[1:] if array[0] == "-" else f"-{array}", index
        if op in ("input", "parameter"):
            return "x" if op == "input" else "p", int(number)
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
            v = text_of(self.ref(i))
            a = operands[0]
            if op == "+":
                yield from sum_statements(v, self.terms(i))
            elif op == "*":
                yield f"{v} = {text_of(self.ref(a))} * {text_of(self.ref(operands[1]))};"
            elif op == "**k":
                yield f"{v} = power({text_of(self.ref(a))}, {literal(number)});"
            elif op == "**":
                yield f"{v} = power({', '.join(text_of(self.ref(j)) for j in operands)});"
            elif op == "largest":
                yield from largest_statements(v, [self.ref(j) for j in operands])
            elif a in self.fused:
                lines = [*sum_statements("", self.terms(a))]
                text = FUNCTIONS[op][0]
                if len(lines) == 1 and len(lines[0]) + len(text) < WIDTH:
                    yield f"{v} = {text.format(a=self.argument(a, lines[0][3:-1]))};"
                else:
                    yield from sum_statements(v, self.terms(a))
                    yield f"{v} = {text.format(a=self.argument(a, v))};"
            else:
                x = self.argument(a, text_of(self.ref(a)))
                yield f"{v} = {FUNCTIONS[op][0].format(a=x)};"
        if self.listing.is_single:
            yield f"return {text_of(self.ref(self.listing.outputs[0]))};"
        else:
            for k, i in enumerate(self.listing.outputs):
                yield f"y[{k}] = {text_of(self.ref(i))};"

    # -------------------------------------------------------------------------
    # the backward pass

    def backward(self) -> Iterator[str]:
        if self.slots:
            yield f"for (int i = 0; i < {self.name}_values; i++) dv[i] = 0.0;"
        run: list[list[Addition]] = []  # the additions of nodes one after the other
        for step in self.steps():
            if isinstance(step, str):
                yield from addition_statements(run)
                run = []
                yield step
            elif step:
                run.append(step)
        yield from addition_statements(run)

    def steps(self) -> Iterator[str | list[Addition]]:
        """Yield what backward does at each node: a statement, or the additions of a node."""
        outputs = [*zip(self.listing.outputs, self.listing.passes)]
        for k, (output, found) in reversed([*enumerate(outputs)]):
            gradient = self.gradient(output)
            if gradient:
                is_single = self.listing.is_single
                yield f"{text_of(gradient)} {'= 1.0' if is_single else f'+= dy[{k}]'};"
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
        a, v = operands[0], text_of(self.ref(i))
        if op == "take":
            to = self.gradient(a)
            yield [(to, None, g)] if to else []
            return
        if a in self.fused:
            yield f"{text_of(g)} *= {FUNCTIONS[op][1].format(v=v)};"
            return
        x = text_of(self.ref(a))
        if op == "**k":
            slopes = [f"({literal(number)} * power({x}, {literal(number - 1)}))"]
        elif op == "**":
            y = text_of(self.ref(operands[1]))
            slopes = [f"({y} * power({x}, {y} - 1))", f"power_slope({x}, {v})"]
        else:
            slopes = [FUNCTIONS[op][1].format(a=x, v=v)]
        for j, slope in zip(operands, slopes):
            to = self.gradient(j)
            if to:
                yield f"{text_of(to)} += {slope} * {text_of(g)};"
