"""The graph below some Values as a list of operations: what all exports are written from.

The nodes of both engines are read where they are, and none is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..checkpoint import SavedModule
from ..grad_mode import refuse
from ..graph import is_value, trace
from ..pure.functions import _minus
from ..pure.value import Value as PureValue
from ..shown import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from typing import Any

    from ..types import Leaves

    # a node as the engine has it: its op, its operands, which are such nodes, too, and its number
    Found = tuple[str, tuple[Any, ...], float]


class Node(NamedTuple):
    """A line of the listing.

    The op is a name in RULES of `micrograd/pure/value.py`, or one of these:
        input, parameter    a leaf; `number` is which one it is
        constant            another leaf; `number` is its number
        largest             the largest of its operands; no gradient passes
        minus               its operand with the other sign; no gradient passes
    """

    op: str
    operands: tuple[int, ...]  # by their positions in the listing
    number: float  # the k of an a**k, too; of others 0.0


SOURCES: dict[Any, str] = {max: "largest", _minus: "minus"}  # by what recomputes such a leaf
NO_SLOPE = (*SOURCES.values(),)  # no gradient passes through these


class Listing:
    """The graph below the outputs, operands before their users.

    Args:
        outputs: a Value, or a list of Values.
        inputs: leaves that get other numbers in each call: a list, or a dict by name.
        parameters: leaves that are parameters: a Module, a list, or a dict by name. They need not
            be below the outputs. A Module's are in the order of its `named_parameters()`; one
            that is shared counts once. All other leaves are constants.

    Attributes:
        nodes: a list of Node.
        outputs: the positions of the outputs in it. is_single: whether it was one Value.
        passes: for each output, the positions of the nodes that the walk to it comes to first,
            in the order whose reverse is that of `backward()`.
        inputs, parameters: their names. numbers: a dict, "inputs" and "parameters", of the lists of
            their present numbers. No Value is kept.

    Raises:
        TypeError: something is no Value, or a Value of another engine than the output's.
        ValueError: an input or parameter is no leaf or is given twice, an input is not below the
            outputs, an output was computed under no_grad, or the graph has nodes of the user's.
    """

    def __init__(self, outputs: Any, inputs: Leaves, parameters: Leaves | None) -> None:
        refuse("export")
        self.is_single = is_value(outputs)
        roots = [outputs] if self.is_single else _checked_outputs(outputs)
        engine: Any = _Pure() if isinstance(roots[0], PureValue) else _Compiled()
        for root in roots:
            engine.check(root, "an output")
            if root._is_unrecorded:
                raise ValueError(
                    "an output was computed under no_grad() and has no graph: compute it outside"
                )
        named_inputs = _named(inputs, "inputs")
        named_parameters = _named(parameters, "parameters")
        leaves: dict[Hashable, tuple[str, int]] = {}
        for kind, named in ("input", named_inputs), ("parameter", named_parameters):
            for k, (name, v) in enumerate(named):
                engine.check(v, f"{kind} {name}")
                if not v._is_leaf:
                    raise ValueError(
                        f"{kind} {name} is no leaf but computed from others: {shown(v)}"
                    )
                if engine.key(engine.node(v)) in leaves:
                    raise ValueError(f"{kind} {name} is given twice: {shown(v)}")
                leaves[engine.key(engine.node(v))] = kind, k

        found: dict[Hashable, Found] = {}
        places: dict[Hashable, int] = {}
        self.nodes: list[Node] = []

        def operands(node: Any, with_sources: bool) -> tuple[Any, ...]:
            key = engine.key(node)
            if key not in found:
                found[key] = engine.find(node, roots)
            op, below, _ = found[key]
            return below if with_sources or op not in NO_SLOPE else ()

        tops = [engine.node(root) for root in roots]
        for node in _post_order(tops, engine.key, lambda node: operands(node, True), set()):
            key = engine.key(node)
            op, below, number = found[key]
            kind, k = leaves.get(key, ("constant", 0))
            if op == "leaf":
                op, number = kind, number if kind == "constant" else k
            places[key] = len(self.nodes)
            self.nodes.append(Node(op, tuple(places[engine.key(x)] for x in below), number))
        for name, v in named_inputs:
            if engine.key(engine.node(v)) not in places:
                raise ValueError(f"input {name} is not in the graph of the output: {shown(v)}")
        self.inputs = [name for name, _ in named_inputs]
        self.parameters = [name for name, _ in named_parameters]
        self.numbers = {
            "inputs": [v.data for _, v in named_inputs],
            "parameters": [v.data for _, v in named_parameters],
        }
        self.outputs = [places[engine.key(top)] for top in tops]
        visited: set[Hashable] = set()
        self.passes = [
            [
                places[engine.key(node)]
                for node in _post_order(
                    [top], engine.key, lambda node: operands(node, False), visited
                )
            ]
            for top in tops
        ]


class _Pure:
    """Reads the nodes of the plain-Python engine, which are its Values."""

    def check(self, v: object, what: str) -> None:
        if not isinstance(v, PureValue):
            raise TypeError(f"{what} must be a Value of the output's engine, not {shown(v)}")

    def node(self, v: PureValue) -> PureValue:
        return v

    def key(self, node: PureValue) -> int:
        return id(node)  # subclasses may have an == of their own

    def find(self, v: PureValue, roots: list[PureValue]) -> Found:
        if v._source is not None:
            function, values = v._source
            op = SOURCES[function]
            if op == "minus":  # of the largest, or of the one number there is
                source = values[0]._source
                values = source[1] if source and len(source[1]) == 1 else values
            return op, tuple(values), 0.0
        kind: Any = type(v)
        ours: Any = PureValue
        is_ours = kind._backward is ours._backward and "_backward" not in vars(v)
        if not is_ours or (v._prev and v._rule is None):
            raise _own_node(v._op)
        if v._rule is None:
            return "leaf", (), v._data
        return v._rule, v._prev, 0.0 if v._exponent is None else v._exponent


class _Compiled:
    """Reads the nodes of the compiled engine on the tape, by their indices."""

    def __init__(self) -> None:
        from ..compiled.binding import ffi, lib
        from ..compiled.value import Value, index_of

        self.kind, self.ffi, self.lib = Value, ffi, lib
        self.index_of = index_of

    def check(self, v: object, what: str) -> None:
        if not issubclass(type(v), self.kind):
            raise TypeError(f"{what} must be a Value of the output's engine, not {shown(v)}")

    def node(self, v: Any) -> int:
        i: int = self.index_of(v)
        return i

    def key(self, node: int) -> int:
        return node

    def find(self, i: int, roots: list[Any]) -> Found:
        lib, node = self.lib, self.lib.shared_node(i)
        if node.flags & lib.NODE_FUNCTION or node.op in (lib.OP_USER, lib.OP_LINEAR):
            nodes = (v for root in roots for v in trace(root)[0])
            raise _own_node(next((v._op for v in nodes if self.index_of(v) == i), ""))
        if node.op == lib.OP_LEAF:
            return "leaf", (), lib.shared_number(i)
        if node.op == lib.OP_SHIFT:
            return "minus", (node.a,), 0.0
        if node.op == lib.OP_LARGER:  # a chain of them, which nothing else uses
            items = []
            while node.op == lib.OP_LARGER:
                items.append(node.b)
                i, node = node.a, lib.shared_node(node.a)
            return "largest", (i, *reversed(items)), 0.0
        op = self.ffi.string(lib.op_name(node.op)).decode()
        if node.op == lib.OP_POW:
            return op, (node.a,), lib.shared_number(node.b)
        return op, (node.a, node.b) if node.b else (node.a,), 0.0


def _own_node(op: str) -> ValueError:
    return ValueError(
        f"the graph has a node of your own, {shown(op)}, and what Python functions or given slopes "
        "compute cannot be exported: write it with the operations of Value"
    )


def _checked_outputs(outputs: Any) -> list[Any]:
    if isinstance(outputs, (list, tuple)) and outputs:
        return [*outputs]
    given = "an empty list" if isinstance(outputs, (list, tuple)) else shown(outputs)
    if callable(outputs):
        given += ": call it, and pass what it returns"
    raise TypeError(f"the output must be a Value or a list of Values, not {given}")


def _named(leaves: Leaves | None, what: str) -> list[tuple[str, Any]]:
    """Return (name, Value) of each; in a list they are called x0, x1 ..., or p0, p1 ..."""
    if leaves is None:
        return []
    if isinstance(leaves, SavedModule):
        first: dict[int, tuple[str, Any]] = {}  # one that is shared has several names
        for name, v in leaves.named_parameters():
            first.setdefault(id(v), (name, v))
        return [*first.values()]
    if is_value(leaves):
        raise TypeError(f"{what} must be a list or a dict of Values, not a Value: write [value]")
    if isinstance(leaves, Mapping):
        pairs: list[tuple[Any, Any]] = [*leaves.items()]
    elif hasattr(type(leaves), "__iter__") and not isinstance(leaves, (str, bytes)):
        letter = "x" if what == "inputs" else "p"
        pairs = [(f"{letter}{k}", v) for k, v in enumerate(leaves)]
    else:
        raise TypeError(f"{what} must be a Module, a list or a dict of Values, not {shown(leaves)}")
    for name, _ in pairs:
        if not isinstance(name, str):
            raise TypeError(f"{what} must be a dict by name, and has the key {shown(name)}")
    return pairs


def _post_order(
    roots: Iterable[Any],
    key: Callable[[Any], Hashable],
    operands: Callable[[Any], tuple[Any, ...]],
    visited: set[Hashable],
) -> list[Any]:
    """List all nodes below the roots that are not visited so far: operands first, left to right.

    Without recursion, as `topological_order` of the plain engine.
    """
    order: list[Any] = []
    for root in roots:
        if key(root) in visited:
            continue
        visited.add(key(root))
        stack = [(root, iter(operands(root)))]
        while stack:
            node, below = stack[-1]
            for operand in below:
                if key(operand) not in visited:
                    visited.add(key(operand))
                    stack.append((operand, iter(operands(operand))))
                    break
            else:
                order.append(node)
                stack.pop()
    return order
