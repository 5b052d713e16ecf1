"""How tests compare two engines: numbers by their bits, calls by what they come to."""

import math
import struct


def bits(x):
    """The bits of a float; all nans count as one: sign and payload are not promised."""
    return "nan" if math.isnan(x) else struct.pack(">d", x).hex()


def outcome(function, *args):
    """What a call comes to: ("is", its result), or the type and message of what is raised."""
    try:
        return "is", function(*args)
    except (ArithmeticError, ValueError, TypeError, IndexError, Warning) as problem:
        return type(problem), str(problem)
