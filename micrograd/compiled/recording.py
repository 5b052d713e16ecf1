"""Recorded functions over the tape: a replay is one call into C."""

from __future__ import annotations

from ..pure import recording as pure
from ..recorder import check_range, make_recorded
from .binding import call, ffi, lib, raise_from
from .value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from ..recorder import Choice


class Recording:
    __doc__ = pure.Recording.__doc__

    def __init__(self, outputs: list[Value], inputs: list[Value], choices: list[Choice]) -> None:
        recording = ffi.gc(ffi.new("Recording *"), lib.shared_recording_free)
        call(lib.shared_recording_start, recording, id(outputs), id(inputs))
        for position, rows, takes, _ in choices:
            call(lib.shared_recording_choice, recording, position, id(takes), id(rows))
        call(lib.shared_recording_end, recording)
        self._recording = recording
        self._ranges = [(position, len(rows), kind) for position, rows, _, kind in choices]

    def run(self, floats: list[float], integers: list[int]) -> None:
        out: list[Any] = []
        if lib.shared_recording_run(self._recording, id(floats), id(integers), id(out)) < 0:
            self._raise(out, integers)

    def _raise(self, out: list[Any], integers: list[int]) -> NoReturn:
        try:
            raise_from(out)
        except IndexError:
            for position, n, kind in self._ranges:
                check_range(integers[position], n, kind)
            raise

    run.__doc__ = pure.Recording.run.__doc__


recorded = make_recorded(Value, Recording)
