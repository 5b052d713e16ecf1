"""What the public functions take: checks of arguments, and the texts of the errors.

Both engines use these. Each returns what it was given in the form in which it is wanted, or raises
an exception that names the numbers.
"""

from __future__ import annotations

import importlib
import operator
import sys
import warnings
from collections import Counter
from collections.abc import Mapping

from .grad_mode import current_recorder, refuse
from .recorder import Integer, check_range
from .shown import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, SupportsIndex

    from .pure.value import Value
    from .types import AnyValue, Number, T

PACKAGE = __name__.partition(".")[0] + "."  # what the modules of our own classes begin with


def needed(module: str, problem: str) -> Any:
    """Return an optional module, or raise an ImportError of this text if it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(problem) from error


def warn(text: str) -> None:
    """Warn where our own code was called, however deep in it this is."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)


# -----------------------------------------------------------------------------
# numbers


def number(x: Number, name: str = "") -> float:
    """Return x as a float, or raise a TypeError, which has its name, if it is not a number.

    Whatever converts is welcome: int, Fraction, NumPy scalars. Text, None, complex
    numbers, lists and arrays are not, and neither is a Value, which would silently
    lose its graph.
    """
    if isinstance(x, float):  # NumPy's float64 is one, too
        return float.__float__(x)
    if hasattr(type(x), "backward"):
        refuse("float")
        expected = f"{name} must be" if name else "expected"
        raise TypeError(f"{expected} a plain number, not {shown(x)}; x.data is its number")
    if not is_number(x):
        instead = ""
        if isinstance(x, str) and _is_number_in_text(x):
            instead = f"; write {float(x)!r}, or float() of it"
        if name:
            raise TypeError(f"{name} must be a number, not {shown(x)}{instead}")
        raise TypeError(f"expected a number, not {type(x).__name__}: {shown(x)}{instead}")
    return float(x)


def value_number(x: Number) -> float:
    """Return x as what a Value holds, or raise a TypeError that says what to write instead."""
    try:
        return number(x)
    except TypeError as problem:
        instead = ""
        if x is None:
            instead = "; to clear a gradient write 0.0"
        elif isinstance(x, (list, tuple)):
            instead = "; write [Value(x) for x in xs]"
        elif getattr(x, "ndim", None):
            instead = "; write [Value(x) for x in array.tolist()]"
        raise TypeError(f"{problem}{instead}") from None


def is_number(x: object) -> bool:
    """Tell whether `number(x)` would take x."""
    if isinstance(x, float) or type(x) is int:
        return True
    converts = hasattr(type(x), "__float__") or hasattr(type(x), "__index__")
    return converts and not hasattr(type(x), "__len__") and not hasattr(type(x), "backward")


def unsupported(a: Value, x: object, form: str) -> Value:
    """Return NotImplemented for an operand that is none, or raise what says what to write.

    Args:
        a, x: the Value, and what is neither Value nor number.
        form: the operation with these names, like "x / a".

    Raises:
        TypeError: x is text, a list, a tuple or a NumPy array, with which no operation of a
            Value is ever defined.
    """
    ask_x: Value = NotImplemented
    kind = type(x)
    if _is_overridden(type(a), form):
        return ask_x
    if kind is str:
        found = f"the text {shown(x)}"
        instead = "float(x)" if _is_number_in_text(x) else "str(a) to join texts"
    elif kind in (list, tuple):
        found, instead = f"a {kind.__name__}", f"[{form} for x in xs]"
    elif kind.__module__ == "numpy" and kind.__name__ == "ndarray":
        found, instead = "a NumPy array", f"[{form} for x in array.tolist()]"
        if getattr(x, "ndim", None) == 0:
            instead = "array.item()"
    else:
        return ask_x
    raise TypeError(f"{form} takes a number or a Value for x, not {found}: write {instead}")


def _is_overridden(kind: type, form: str) -> bool:
    """Tell whether a subclass may do this operation itself, or iterates, as += of a list needs."""
    name = {"+": "add", "-": "sub", "*": "mul", "/": "truediv", "**": "pow"}[form.split()[1]]
    owners = [
        next(cls for cls in kind.__mro__ if method in vars(cls))
        for method in (f"__{name}__", f"__r{name}__")
    ]
    ours = all(cls.__module__.startswith(PACKAGE) for cls in owners)
    return not ours or hasattr(kind, "__iter__")


def _is_number_in_text(text: Any) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def count(n: SupportsIndex, what: str, least: int = 0) -> int:
    """Return n as an int, or raise a TypeError or a ValueError that names `what`."""
    try:
        n = int(operator.index(n))  # which Python 3.9 leaves a bool if it is one
    except TypeError:
        raise TypeError(f"{what} must be an integer, not {shown(n)}") from None
    if n < least:
        raise ValueError(f"{what} must be at least {least}, not {n}")
    return n


# -----------------------------------------------------------------------------
# Values


def check_node(
    kind: type[T],
    data: Number,
    _prev: Iterable[T],
    _op: object,
    children: Iterable[T] | None,
    _children: Iterable[T] | None,
    local_grads: object,
) -> tuple[float, tuple[T, ...], str, tuple[float, ...] | None]:
    """Bring the arguments of Value's constructor, some of which have other names, into order.

    Args:
        kind: the engine's Value. The others are as the constructor has them.

    Returns:
        (data, operands, op, slopes). The slopes are a tuple of as many floats as there are
        operands, or None if no local gradients are given.
    """
    x = data if type(data) is float else value_number(data)
    if children is None and _children is None and local_grads is None and isinstance(_op, str):
        operands, op, slopes = tuple(_prev), _op, None
    else:
        operands, op, slopes = _other_forms(_prev, _op, children, _children, local_grads)
    for operand in operands:
        if not issubclass(type(operand), kind):  # isinstance is true of a weak proxy, too
            if isinstance(_prev, str):
                raise TypeError(f"in second place there are operands: write label={shown(_prev)}")
            raise TypeError(f"an operand must be a Value, not {shown(operand)}")
    return x, operands, op, slopes


def _other_forms(
    _prev: Iterable[T],
    _op: object,
    children: Iterable[T] | None,
    _children: Iterable[T] | None,
    local_grads: object,
) -> tuple[tuple[T, ...], str, tuple[float, ...] | None]:
    """Return the operands, the op and the slopes if they are given by other names."""
    given = ["_prev"] if type(_prev) is not tuple or _prev else []
    for name, others in ("children", children), ("_children", _children):
        if others is not None:
            given.append(name)
            _prev = others
    if len(given) > 1:
        raise TypeError(f"{' and '.join(given)} are one argument: give one of them")
    if isinstance(_op, (tuple, list)):
        if local_grads is not None:
            raise TypeError("local_grads was given twice: in the place of _op, and by name")
        _op, local_grads = "", _op
    operands = tuple(_prev)
    return operands, check_op(_op), check_slopes(local_grads, len(operands))


def check_op(op: object) -> str:
    """Return what a user's node is called, or raise a TypeError if it is no text."""
    if not isinstance(op, str):
        raise TypeError(
            f"in third place there is the name of an operation, a text, or a tuple or a list of "
            f"local gradients, not {shown(op)}"
        )
    return op


def check_slopes(slopes: object, n: int) -> tuple[float, ...] | None:
    """Return n local gradients as a tuple of floats, and None for None."""
    if slopes is None:
        return None
    if not isinstance(slopes, (tuple, list)):
        raise TypeError(f"local_grads must be a tuple or a list of numbers, not {shown(slopes)}")
    if len(slopes) != n:
        raise ValueError(f"{len(slopes)} local gradients were given for {n} operands")
    checked = []
    for i, x in enumerate(slopes):
        try:
            checked.append(number(x))
        except TypeError as problem:
            raise TypeError(f"local_grads[{i}]: {problem}") from None
    return tuple(checked)


def check_copied(v: Any) -> None:
    """Raise a TypeError unless v, which is to be copied or pickled, is a leaf."""
    if not v._is_leaf:
        raise TypeError(
            "only leaves can be copied and pickled, and this Value is computed from "
            "others: copy its detach()"
        )


# what backward() warns of
UNRECORDED = (
    "backward() of a Value that was computed under no_grad(): it has no graph, so that no other "
    "Value gets a gradient. Compute it outside of no_grad()"
)


def user_number(v: Value) -> float:
    """Return the number of a node that the user has made, from its `_forward`."""
    if hasattr(v, "_forward"):
        return number(v._forward())
    raise ValueError(
        f"forward() cannot recompute the user node {shown(v._op)}: "
        "set its _forward to a function that returns its number"
    )


def check_threshold(threshold: Number) -> float:
    """Return the threshold as a float, or raise an exception if it is none, or nan."""
    if isinstance(threshold, (list, tuple)) or getattr(threshold, "ndim", None):
        raise TypeError(
            f"threshold must be a number, not {shown(threshold)}: if these are labels, a data set "
            "of points X and labels y is list(zip(X, y))"
        )
    x = number(threshold, "threshold")
    if x != x:
        raise ValueError("threshold must not be nan")
    return x


def outputs_of(out: Any) -> list[float]:
    """Return the numbers of what a model has returned: a Value, or a list of them."""
    if hasattr(type(out), "backward"):
        return [out.data]
    outputs: list[Any] = [*out] if _is_iterable(out) else [None]
    if not all(hasattr(type(v), "backward") or is_number(v) for v in outputs):
        raise TypeError(f"a model returns a Value or a list of Values, not {shown(out)}")
    return [v.data if hasattr(type(v), "backward") else number(v) for v in outputs]


def check_labels(labels: list[float], threshold: float) -> bool:
    """Tell whether labels of a model with one output are on both sides of the threshold.

    Warn if there are more than two, or two on one side of what 0 and 1 are on both sides of.
    """
    known = {y for y in labels if y == y}
    sides = [{y for y in known if (y > threshold) == above} for above in (False, True)]
    for alike in sides:
        if len(alike) > 1 and (len(known) > 2 or 0 <= threshold < 1):
            names = ", ".join([f"{y:g}" for y in sorted(alike)[:5]] + ["..."] * (len(alike) > 5))
            instead = "take a model with an output for each"
            if len(known) == 2:
                instead = "write 0 and 1, or -1 and 1"
            warn(
                f"a model with one output has two classes, above the threshold {threshold:g} and "
                f"not, and the labels {names} are one of them: {instead}"
            )
    return all(sides)


def check_sides(outputs: list[float], threshold: float, where: str) -> None:
    """Warn if a model's one output, in these places, is on one side of the threshold."""
    low, high = min(outputs), max(outputs)
    if low > threshold or high <= threshold:
        side = "above" if low > threshold else "never above"
        instead = "" if 0 < threshold < 1 else ": write threshold=0.5 for a sigmoid"
        warn(
            f"the model's output, from {low:.4g} to {high:.4g}, is {side} the threshold "
            f"{threshold:g} {where}{instead}"
        )


# -----------------------------------------------------------------------------
# functions of many Values


# where an integer comes after the list of this name
LISTS_FIRST = {"logits": "cross_entropy(logits, target)", "items": "take(items, i)"}
OF_LEAVES = ("nodes", "inputs")  # lists of these names may be a model's parameters


def check_lists(**given: object) -> None:
    """Raise a TypeError that names the first of these that is no list, nor another iterable.

    It is for where making lists of them has failed: what is wrong may as well be an item.
    """
    for what, xs in given.items():
        if not _is_iterable(xs):
            raise TypeError(f"{what} must be a list, not {_no_list(xs, what)}") from None


def _no_list(xs: Any, what: str) -> str:
    """Return what stands in the place of a list of this name as text, and what to write instead."""
    if hasattr(type(xs), "backward"):
        return "a Value: write [a] for a list of one"
    if what in LISTS_FIRST and hasattr(type(xs), "__index__"):
        return f"{shown(xs)}: the {what} come first, {LISTS_FIRST[what]}"
    if is_number(xs):
        return f"{shown(xs)}: write [a] for a list of one"
    if callable(xs) and not isinstance(xs, type):
        if hasattr(xs, "parameters"):
            instead = "pass model.parameters()" if what in OF_LEAVES else "call it, model(x)"
            return f"the {type(xs).__name__} itself: {instead}"
        return "a function: call it"
    return shown(xs)


def listed(xs: Iterable[T], what: str) -> list[T]:
    """Return the items as a list, or raise a TypeError that names `what` if it is none."""
    try:
        return list(xs)
    except TypeError:
        check_lists(**{what: xs})
        raise


def check_items(xs: Iterable[Any], what: str, kind: type[T]) -> list[T | float]:
    """Return a list of Values of this kind and floats, or raise a TypeError that names the item."""
    xs = listed(xs, what)
    for i, x in enumerate(xs):
        if not isinstance(x, kind):
            try:
                xs[i] = number(x)
            except TypeError as problem:
                raise TypeError(f"{what}[{i}]: {problem}") from None
    return xs


def check_pairs(ws: Iterable[T], xs: Iterable[T]) -> tuple[list[T], list[T]]:
    """Return both as lists, or raise a ValueError that names their lengths if they differ."""
    try:
        ws, xs = list(ws), list(xs)
    except TypeError:
        check_lists(ws=ws, xs=xs)
        raise
    if len(ws) != len(xs):
        raise ValueError(f"dot needs lists of one length, and was given {len(ws)} and {len(xs)}")
    return ws, xs


def check_matrix(
    x: Iterable[Any], w: Iterable[Any], kind: type[T]
) -> tuple[list[T | float], list[list[T | float]]]:
    """Return a list, and the list of rows that are as long, or raise what linear raises."""
    xs = check_items(x, "x", kind)
    rows = check_rows(w, "w", kind)
    for i, row in enumerate(rows):
        if len(row) != len(xs):
            raise ValueError(
                f"linear needs rows as long as x: w[{i}] has {len(row)} items, and x {len(xs)}"
            )
    return xs, rows


def check_rows(rows: Iterable[Any], what: str, kind: type[T]) -> list[list[T | float]]:
    """Return a list of lists of Values and floats, or raise a TypeError that names the item."""
    rows = listed(rows, what)
    for i, row in enumerate(rows):
        if isinstance(row, kind) or is_number(row):
            raise TypeError(f"{what}[{i}] must be a row, a list, not {type(row).__name__}")
    return [check_items(row, f"{what}[{i}]", kind) for i, row in enumerate(rows)]


def check_order(items: Iterable[T]) -> list[T]:
    """Return the items as a list, or raise a TypeError if it is a dict or a set that has them."""
    if isinstance(items, (dict, set, frozenset)):
        raise TypeError(
            f"take goes by the position in a list, which a {type(items).__name__} has not: pass "
            f"{'list(d.values())' if isinstance(items, dict) else 'a list'}"
        )
    return listed(items, "items")


def check_table(items: Iterable[Any], kind: type[T]) -> tuple[list[list[T | float]], bool]:
    """Return what take chooses from as rows, and whether the items are rows, or raise."""
    items = check_order(items)
    if not items or isinstance(items[0], kind) or is_number(items[0]):
        return [[x] for x in check_items(items, "items", kind)], False
    rows = check_rows(items, "items", kind)
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"take needs rows of one length: items[0] has {len(rows[0])} items, "
                f"and items[{i}] {len(row)}"
            )
    return rows, True


def check_index(i: SupportsIndex, n: int, kind: str = "index") -> int:
    """Return an index, or a target, as an int, or raise an IndexError with it and n."""
    if isinstance(i, Integer):
        i = i.number
    try:
        i = int(operator.index(i))  # as in count
    except TypeError:
        article = "an" if kind == "index" else "a"
        given = "a Value" if hasattr(type(i), "backward") else shown(i)
        if isinstance(i, float) and float.is_integer(i):
            given += f": write {int(i)}, or int() of it"
        raise TypeError(f"{article} {kind} must be an integer, not {given}") from None
    check_range(i, n, kind)
    return i


# -----------------------------------------------------------------------------
# generators and data sets


def check_generator(random: object) -> None:
    """Raise a TypeError unless random is a generator: RNG, Python's own Random, NumPy's."""
    if not hasattr(random, "uniform"):
        instead = f": write RNG({random})" if type(random) is int else ""
        raise TypeError(
            f"a generator, such as RNG(42), has uniform(a, b), and {shown(random)} has not{instead}"
        )


def check_radii(r_small: Number, r_big: Number) -> tuple[float, float]:
    """Return both radii as floats, or raise what gen_data_yinyang raises."""
    r_small, r_big = number(r_small), number(r_big)
    if not 1e-100 <= r_big <= 1e100:
        raise ValueError(f"r_big must be from 1e-100 to 1e100, not {r_big}")
    if not r_big / 1000 <= r_small < r_big:
        raise ValueError(f"r_small must be from r_big / 1000 up to r_big {r_big}, not {r_small}")
    return r_small, r_big


def check_examples(split: Iterable[T]) -> list[T]:
    """List the split, or raise a TypeError if it is none, a ValueError if it is empty."""
    if hasattr(type(split), "parameters"):
        raise TypeError(f"a data set was expected, not {type(split).__name__}: the model is first")
    if callable(split) and not _is_iterable(split):
        raise TypeError("a data set was expected, not a function: the model is first")
    examples = listed(split, "split")
    if not examples:
        once = " (a zip or a generator gives its items once: make a list of it)"
        raise ValueError(
            f"the split is empty: it has 0 examples{once if iter(split) is split else ''}"
        )
    return examples


A_DATA_SET = "a data set is a list of points and labels, such as [([0.5, -1.0], 1)]"


def check_split(split: Iterable[T]) -> list[T]:
    """Return a split of points and labels as a list, or raise what `check_examples` raises.

    Of its points only the first one is looked at.
    """
    try:
        points: list[Any] = check_examples(split)
    except TypeError:
        if _is_iterable(split) or callable(split):
            raise
        instead = ""
        if is_number(split) or hasattr(type(split), "backward"):
            instead = ": of one point's logits write cross_entropy(logits, target)"
        raise TypeError(f"{A_DATA_SET}, not {shown(split)}{instead}") from None
    if len(points) == 3 and all(isinstance(part, list) for part in points):
        if any(map(_is_pair, (part[0] for part in points if part))):
            raise TypeError(
                "these are three data sets: write train, val, test = data, and take one of them"
            )
    if _is_no_point(points[0]):
        if isinstance(split, (str, bytes, Mapping)):
            raise TypeError(f"{A_DATA_SET}, not {shown(split)}")
        if type(split).__name__ == "DataFrame":
            raise TypeError(
                f"{A_DATA_SET}, not a DataFrame: write "
                "list(zip(df[['x', 'y']].to_numpy(), df['label']))"
            )
        instead = ": write list(zip(X, y))" if _is_row(points[0]) or is_number(points[0]) else ""
        if isinstance(points[0], tuple) and len(points[0]) == 2:  # of a zip
            instead = ": a point is a list of numbers, write ([x], label)"
        raise TypeError(f"{A_DATA_SET}, and its first item is {shown(points[0])}{instead}")
    return points


def _is_no_point(x: Any) -> bool:
    """Tell whether x is a number, or a row of numbers without a label, or has no items."""
    if isinstance(x, (list, tuple)) or getattr(x, "ndim", None):  # a NumPy array
        return len(x) != 2 or is_number(x[0]) or not _is_iterable(x[0])
    return is_number(x) or isinstance(x, (str, bytes, Mapping)) or not _is_iterable(x)


def _is_pair(x: Any) -> bool:
    """Tell whether x is a point, a list or an array of numbers, with its label."""
    return isinstance(x, (list, tuple)) and len(x) == 2 and _is_row(x[0]) and is_number(x[1])


def _is_row(x: Any) -> bool:
    return isinstance(x, (list, tuple)) or bool(getattr(x, "ndim", None))


# -----------------------------------------------------------------------------
# networks and losses

# the names that an activation has in a neuron's repr
ACTIVATIONS = {"tanh": "TanH", "relu": "ReLU"}
LINEAR = ("linear", "identity", "none", None)  # what others call it to have none


def check_weights(values: Iterable[Any], name: str = "a parameter") -> None:
    """Raise a TypeError if not all of these are Values.

    Args:
        name: what they are, with {} for the place of the one that is none.
    """
    values = list(values)
    if all(hasattr(kind, "backward") for kind in set(map(type, values))):
        return
    i = next(i for i, v in enumerate(values) if not hasattr(type(v), "backward"))
    instead = f": write Value({shown(values[i])})" if is_number(values[i]) else ""
    raise TypeError(f"{name.format(i)} must be a Value, not {shown(values[i])}{instead}")


def check_activation(activation: str) -> str:
    """Return the activation's name, or raise a ValueError that lists the two."""
    if activation not in ACTIVATIONS:
        instead = ": a linear Neuron or Layer has nonlin=False" if activation in LINEAR else ""
        raise ValueError(f"activation must be 'tanh' or 'relu', not {shown(activation)}{instead}")
    return activation


def check_nonlin(nonlin: object) -> bool:
    """Return whether a neuron has an activation, or raise a TypeError for the name of one."""
    if isinstance(nonlin, str):
        name = nonlin.lower()
        instead = f"activation={name!r}" if name in ACTIVATIONS else "activation='tanh' or 'relu'"
        instead = "nonlin=False" if name in LINEAR else instead
        raise TypeError(f"nonlin is True or False, not {shown(nonlin)}: write {instead}")
    return bool(nonlin)


def check_sizes(nin: SupportsIndex, nouts: Iterable[SupportsIndex], *others: object) -> list[int]:
    """Return the sizes of an MLP as a list: its inputs, then each layer's neurons.

    Args:
        others: what else the MLP was given: sizes, if its layers' are not in a list.
    """
    nin = count(nin, "nin", least=1)
    try:
        nouts = list(nouts)
    except TypeError:
        if hasattr(type(nouts), "__iter__"):
            raise
        given = [str(n) for n in (nouts, *others) if hasattr(type(n), "__index__")]
        instead = f": write MLP({nin}, [{', '.join(given)}])" if given else ""
        message = f"nouts must be a list of sizes, one for each layer, not {shown(nouts)}{instead}"
        raise TypeError(message) from None
    sizes = [nin, *(count(n, "nout", least=1) for n in nouts)]
    if len(sizes) < 2:
        raise ValueError("an MLP needs at least 1 layer, and nouts has 0")
    return sizes


def check_point(x: Iterable[T]) -> list[T]:
    """Return what a network is called with as a list, or raise a TypeError if it is none."""
    try:
        return list(x)
    except TypeError:
        if hasattr(type(x), "__iter__"):
            raise
    if hasattr(type(x), "backward"):
        given = "a Value: write model([x])"
    elif is_number(x):
        given = f"{x!r}: write model([{x!r}]), with a number for each input"
    else:
        given = shown(x)
    raise TypeError(f"a point must be a list of numbers, not {given}")


def check_inputs(x: list[Any], nin: int) -> None:
    """Raise a ValueError unless x has nin items."""
    if len(x) != nin:
        raise ValueError(f"a neuron with {nin} inputs was given {len(x)}{_if_table(x)}")


def check_numbers(x: list[Any], kind: type[T]) -> list[Any]:
    """Return a point as a list of Values of this kind and floats, or raise a TypeError."""
    try:
        return [xi if isinstance(xi, kind) else number(xi) for xi in x]
    except TypeError as problem:
        if not _if_table(x):
            raise
        raise TypeError(f"{problem}{_if_table(x)}") from None


def _if_table(x: list[Any]) -> str:
    """Return what to write instead if x is a table of points, and "" if it is not."""
    if not x or not _is_row(x[0]):
        return ""
    if _is_pair(x):
        return "; this is a point with its label: write x, label = point, and model(x)"
    return "; for a table of points write [model(x) for x in X]"


def check_target(target: SupportsIndex, n: int) -> int:
    """Return the target as an int, or raise an IndexError with it and n, the classes."""
    return check_index(target, n, "target")


def improbable(problem: ValueError, logits: list[Any], target: int) -> ValueError:
    """Return the error of a loss whose target has the probability 0, with the logits that it has.

    Args:
        problem: the error of log(0.0), which is returned in a recorded function: there is no
            looking at numbers there.
    """
    if current_recorder() is not None:
        return problem
    numbers = [x.data for x in logits]
    return ValueError(
        f"the probability of target {target} is 0, which has no logarithm: its logit "
        f"{numbers[target]!r} is too far below the largest, {max(numbers)!r}. Smaller inputs, "
        "weights or steps keep logits closer together"
    )


# -----------------------------------------------------------------------------
# optimisers


def check_parameters(parameters: Iterable[AnyValue], kind: type[AnyValue]) -> tuple[AnyValue, ...]:
    """Return the parameters, Values of this kind, as a tuple; raise what optimisers raise."""
    if not _is_iterable(parameters):
        raise TypeError(f"the parameters must be a list of Values, not {_instead(parameters)}")
    parameters = tuple(parameters)
    if not parameters:
        raise ValueError(
            "an optimiser needs at least 1 parameter, and was given 0: a Module of your own has to "
            "define parameters()"
        )
    for p in parameters:
        if not issubclass(type(p), kind):
            raise TypeError(f"a parameter must be a Value of the same engine, not {_instead(p)}")
        if not p._is_leaf:
            raise ValueError(f"a parameter must be a leaf, but {shown(p)} is computed from others")
    return parameters


def warn_of_repeats(parameters: tuple[Value, ...]) -> None:
    """Warn of parameters that are in an optimiser's list more than once."""
    times = Counter(map(id, parameters))  # a subclass may have an == of its own
    if len(times) < len(parameters):
        n = sum(k > 1 for k in times.values())
        warn(
            f"{n} parameter{' is' if n == 1 else 's are'} in the list more than once, and each "
            "step is taken as often: if that is not meant, pass list(dict.fromkeys(parameters))"
        )


def _is_iterable(x: object) -> bool:
    return hasattr(type(x), "__iter__") or hasattr(type(x), "__getitem__")


def _instead(x: Any) -> str:
    """Return what stands in the place of a list of Values as text, and what to write instead."""
    if isinstance(x, (list, tuple, dict)):  # of Values, say, too many to print
        return f"a {type(x).__name__} of {len(x)}: pass one list, such as model.parameters()"
    if not isinstance(x, type):
        if callable(getattr(x, "parameters", None)):
            return f"the {type(x).__name__} itself: pass model.parameters()"
        if callable(x):
            return "a function: call it, model.parameters()"
    return shown(x)


def check_betas(betas: Iterable[Number]) -> tuple[float, float]:
    """Return both betas as floats, or raise an exception that says what is wrong with them."""
    if not _is_iterable(betas):
        raise TypeError(f"betas must be a pair, such as betas=(0.9, 0.95), not {shown(betas)}")
    numbers = [number(beta, "a beta") for beta in betas]
    if len(numbers) != 2:
        raise ValueError(
            f"betas must be a pair, such as betas=(0.9, 0.95), and {len(numbers)} were given"
        )
    beta1, beta2 = numbers
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1):
        raise ValueError(f"betas must be from 0 up to below 1, not {beta1} and {beta2}")
    return beta1, beta2


def check_rate(x: Number, name: str) -> float:
    """Return a rate of an optimiser as a float, or raise a ValueError if it is negative or nan."""
    rate = number(x, name)
    if not rate >= 0:
        raise ValueError(f"{name} must be 0 or more, not {rate}")
    return rate


def check_beta(x: Number, name: str) -> float:
    """Return one of the betas as a float, or raise a ValueError if it is out of range."""
    beta = number(x, name)
    if not 0 <= beta < 1:
        raise ValueError(f"{name} must be from 0 up to below 1, not {beta}")
    return beta


def no_step(problem: ZeroDivisionError, eps: Number) -> ZeroDivisionError:
    """Return the error of a step of Adam's that has divided by 0, with the reason."""
    if number(eps):
        return problem
    return ZeroDivisionError(
        f"{problem}; a gradient was always 0, and so is eps, which keeps the divisor from 0: write "
        "eps=1e-8"
    )


def check_steps(t: SupportsIndex) -> int:
    """Return a count of steps as an int, or raise a ValueError if no float can count on."""
    t = count(t, "t")
    if t >= 2**53:
        raise ValueError(f"t must be below 2**53, not {t}")
    return t
