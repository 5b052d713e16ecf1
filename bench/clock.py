"""A clock that stands still until it is set forward.

pytest-benchmark times what happens here. What another process has measured goes into its
tables through this clock, which is set forward by as much.
"""


class Clock:
    """As a timer: call it for the time, in seconds."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time

    def advance(self, seconds):
        self.time += seconds


clock = Clock()
