"""Recorded functions: what is this engine's own. `recorder.py` has what both engines share."""

from __future__ import annotations

from ..recorder import check_choices, make_recorded
from .base import restored_on_error
from .value import Value, recompute, topological_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..recorder import Choice


class Recording:
    """The graph of a recorded function, to be computed again with other numbers.

    Args:
        outputs: the Values that the function has returned.
        inputs: leaves that stand for its float arguments.
        choices: which nodes of take its int arguments choose the operand of, and from what.
    """

    def __init__(self, outputs: list[Value], inputs: list[Value], choices: list[Choice]) -> None:
        self.outputs, self.inputs, self.choices = outputs, inputs, choices
        # a call computes all items, whatever is chosen: they come before the takes
        items = [v for choice in choices for row in choice.rows for v in row]
        self.order = topological_order(*items, *outputs, with_sources=True)

    def run(self, floats: list[float], integers: list[int]) -> None:
        """Compute the outputs for these arguments.

        Raises:
            IndexError: an int is out of range.
            What `forward()` raises. Everything is then as it was before.
        """
        check_choices(self.choices, integers)
        chosen_before = [(node, node._prev) for choice in self.choices for node in choice.takes]
        try:
            with restored_on_error(self.inputs):
                for v, x in zip(self.inputs, floats):
                    v._data, v._grad = x, 0.0
                for choice in self.choices:
                    for node, chosen in zip(choice.takes, choice.rows[integers[choice.position]]):
                        node._prev = (chosen,)
                recompute(self.order)
        except BaseException:
            for node, chosen in chosen_before:
                node._prev = chosen
            raise


recorded = make_recorded(Value, Recording)
