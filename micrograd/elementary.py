"""exp(x), log(x), tanh(x) ...: the functions of one Value, of numbers, too.

Python's own, as `math.exp`, take a Value for a float, and what they return has no graph.
"""

from __future__ import annotations

from .checks import number
from .pure.value import RULES, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .types import Elementary, Number

__all__ = ["cos", "exp", "log", "relu", "sigmoid", "sin", "sqrt", "tanh"]


def _function(name: str, rule: str) -> Elementary:
    """Return the function of this name: of a Value its method, of a number what its rule gives."""
    compute = RULES[rule][0]

    def function(x: Value | Number) -> Any:
        if hasattr(type(x), "backward"):  # a Value of either engine
            return getattr(x, name)()
        return compute(number(x))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""{getattr(Value, name).__doc__}

    Args:
        x: a Value or a number, which stands for self above.

    Returns:
        What the method x.{name}() returns of a Value, and of a number a float: the same number.

    Raises:
        TypeError: x is neither Value nor number. And what the method raises.
    """
    return function


cos = _function("cos", "cos")
exp = _function("exp", "exp")
log = _function("log", "log")
relu = _function("relu", "ReLU")
sigmoid = _function("sigmoid", "sigmoid")
sin = _function("sin", "sin")
sqrt = _function("sqrt", "sqrt")
tanh = _function("tanh", "tanh")
