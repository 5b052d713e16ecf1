"""Python's floats in the place of Values: numbers without gradients, the limit for a loop."""

Value = float
