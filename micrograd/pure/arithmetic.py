"""The arithmetic of floats, with the numbers in the text of each error.

Python's own floats raise where there is no result, and so do these. The compiled engine, whose
arithmetic is in C, asks them what is wrong with the numbers at which it has failed.
"""

from __future__ import annotations

import math


def divide(x: float, y: float) -> float:
    """x / y, or ZeroDivisionError."""
    if y == 0:
        raise no_quotient(x, y)
    return x / y


def slope_by(x: float, function: str, at: float) -> float:
    """1 / x, which is the slope of this function at a number, or ZeroDivisionError."""
    if x == 0:
        raise ZeroDivisionError(f"the slope of {function} at {at!r} is infinite")
    return 1.0 / x


def no_quotient(x: float, y: float) -> ZeroDivisionError:
    """Return the error of x / y where y is 0."""
    return ZeroDivisionError(f"{x!r} / {y!r}: division by zero")


def power(x: float, k: float) -> float:
    """x ** k among the real numbers, or ZeroDivisionError, OverflowError, ValueError."""
    try:
        return math.pow(x, k)  # the C library's; PyPy takes x*x for x**2
    except OverflowError:
        raise OverflowError(
            f"{x!r} ** {k!r} is too large for a float. Smaller inputs, weights or steps keep "
            "numbers small"
        ) from None
    except ValueError:
        if x == 0 and k == -math.inf:
            return math.inf  # so says x**k, and math.pow from Python 3.11 on
        if x == 0:
            message = f"{x!r} ** {k!r}: zero has no negative power"
            if k == -1:  # which a / b records, too: forward() finds 0 in the place of b
                message += "; if this is b in a / b, it is a division by zero"
            elif k > -1:
                message += f"; if backward() needs it, it is the slope of x ** {k + 1!r} at {x!r}"
            raise ZeroDivisionError(message) from None
        message = f"{x!r} ** {k!r}: a negative number has no real fractional power"
        raise ValueError(message) from None


def exp(x: float) -> float:
    """e ** x, or OverflowError."""
    try:
        return math.exp(x)
    except OverflowError:
        raise OverflowError(f"exp({x!r}) is too large for a float") from None


def log(x: float) -> float:
    """The natural logarithm of x, or ValueError."""
    if x <= 0:
        message = f"log({x!r}): only positive numbers have a logarithm"
        if x == 0:
            message += (
                "; if it is a probability of softmax, a logit is some 745 below the largest; and "
                "1 - x.sigmoid() is 0.0 from x = 37 on: write (-x).sigmoid().log()"
            )
        raise ValueError(message)
    return math.log(x)


def sqrt(x: float) -> float:
    """The square root of x, or ValueError."""
    if x < 0:
        raise ValueError(f"sqrt({x!r}): a negative number has no real square root")
    return math.sqrt(x)


def sin(x: float) -> float:
    """The sine of x radians, or ValueError."""
    if math.isinf(x):
        raise ValueError(f"sin({x!r}): an infinite angle has no sine")
    return math.sin(x)


def cos(x: float) -> float:
    """The cosine of x radians, or ValueError."""
    if math.isinf(x):
        raise ValueError(f"cos({x!r}): an infinite angle has no cosine")
    return math.cos(x)


def sigmoid(x: float) -> float:
    """1 / (1 + e**-x), and another form of the same where e**-x is too large for a float."""
    try:
        return 1 / (1 + math.exp(-x))
    except OverflowError:
        return math.exp(x) / (1 + math.exp(x))


def relu(x: float) -> float:
    """x, or 0 where x is negative."""
    return 0.0 if x < 0 else x


def power_slope(x: float, out: float) -> float:
    """How fast out = x ** k moves with k: nan for a negative x, where it is not real."""
    return out * log(x) if x > 0 else 0.0 if x == 0 else math.nan
