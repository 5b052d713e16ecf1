"""Layered drawing of a graph: where its boxes stand, and how the lines between them run.

It knows boxes and edges only, and works in four steps, after Sugiyama, Tagawa and Toda (1981):

1. columns: each box stands as far right as it can, left of all that its edges lead to
2. what spans several columns gets a point in each column between, its bend. All edges from a box
   share the bends, so that they run as one line from which branches go off
3. order: sweeps from side to side sort each column by the mean place of the neighbours
   (barycentres); the order with the fewest crossings is kept
4. heights: sweeps again move everything toward its neighbours, as far as the order and the
   distances let it. What more boxes lead to is the firmer, so that a long chain is straight

The numbers of sweeps are fixed and the number of bends is bounded, so the time is, too. The same
graph always gets the same drawing.
"""

from __future__ import annotations

from bisect import bisect_right, insort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    # x0, x1, x2, x3, y0, y1: level at y0 from x0 to x1, a curve to (x2, y1), level to x3
    Line = tuple[float, float, float, float, float, float]

ORDER_SWEEPS = 8
HEIGHT_SWEEPS = 12
BOX_DISTANCE = 14.0  # between boxes, one above the other
BEND_DISTANCE = 9.0  # between lines that run side by side
COLUMN_DISTANCE = 34.0  # the least; more where lines are steep
# how strongly neighbours pull: two bends most, so that lines are straight; a box is moved by boxes
PULLS = (8.0, 0.1, 1.0)  # by how many of the two are boxes
LEAF = 0.1  # the depth of a box that none leads to: it gives way to all others
MOST_BENDS = 4000  # in a small graph; in a large one 20 for each box


class Layout:
    """Where everything is. All lengths are in the unit of the boxes' sizes; y grows downward.

    Attributes:
        width, height: of the whole drawing.
        columns: of each box, the number of its column, from 0 at the left.
        corners: of each box, its upper left corner (x, y).
        lines: of each box, the list of lines (x0, x1, x2, x3, y0, y1) that its edges
            consist of: level at y0 from x0 to x1, a curve to (x2, y1), level to x3.
    """

    def __init__(
        self,
        width: float,
        height: float,
        columns: list[int],
        corners: list[tuple[float, float]],
        lines: list[list[Line]],
    ) -> None:
        self.width, self.height = width, height
        self.columns, self.corners, self.lines = columns, corners, lines


def layout(sizes: Sequence[tuple[float, float]], edges: Iterable[tuple[int, int]]) -> Layout:
    """Draw a graph without circles, from left to right.

    Args:
        sizes: of each box, its width and height.
        edges: pairs (from, to) of boxes, by their places in sizes.

    Raises:
        ValueError: the edges go round in a circle.
    """
    targets: list[list[int]] = [[] for _ in sizes]
    for a, b in dict.fromkeys(edges):
        targets[a].append(b)
    columns = _columns(targets)
    graph = _Bent(columns, targets)
    order = _order(graph)
    heights = [h for _, h in sizes] + [0.0] * (len(graph.owner) - len(sizes))
    y = _heights(graph, order, heights)
    return _drawn(graph, sizes, columns, y)


# -----------------------------------------------------------------------------
# 1. columns


def _columns(targets: list[list[int]]) -> list[int]:
    """Return the column of each box: as many before the last as the longest way is long."""
    sources: list[list[int]] = [[] for _ in targets]
    for a, bs in enumerate(targets):
        for b in bs:
            sources[b].append(a)
    left_over = [len(bs) for bs in targets]  # targets whose distance is not known yet
    distance = [0] * len(targets)
    ready = [a for a, n in enumerate(left_over) if n == 0]
    for b in ready:  # which grows meanwhile
        for a in sources[b]:
            distance[a] = max(distance[a], distance[b] + 1)
            left_over[a] -= 1
            if left_over[a] == 0:
                ready.append(a)
    if len(ready) < len(targets):
        raise ValueError(
            f"{len(targets) - len(ready)} of the boxes are in a circle, or lead to one"
        )
    longest = max(distance, default=0)
    return [longest - d for d in distance]


# -----------------------------------------------------------------------------
# 2. bends


class _Bent:
    """The graph in which every edge goes from a column to the next: boxes first, then bends."""

    def __init__(self, columns: list[int], targets: list[list[int]]) -> None:
        n = len(columns)
        self.columns = [*columns]
        self.owner = [*range(n)]  # of a bend, the box from which its line comes
        self.right: list[list[int]] = [[] for _ in range(n)]
        self.left: list[list[int]] = [[] for _ in range(n)]
        self.far: list[tuple[int, int]] = []  # edges that are too long for bends
        spans = [[columns[b] - columns[a] for b in bs] for a, bs in enumerate(targets)]
        reach = _reach(spans, max(MOST_BENDS, 20 * n))
        for a, bs in enumerate(targets):
            at: dict[int, list[int]] = {}  # targets by column
            for b, span in zip(bs, spans[a]):
                if span <= reach:
                    at.setdefault(columns[b], []).append(b)
                else:
                    self.far.append((a, b))
            here, last = a, max(at, default=0)
            for column in range(columns[a] + 1, last + 1):
                for b in at.get(column, ()):
                    self._join(here, b)
                if column < last:
                    self.columns.append(column)
                    self.owner.append(a)
                    self.right.append([])
                    self.left.append([])
                    bend = len(self.columns) - 1
                    self._join(here, bend)
                    here = bend
        self.members: list[list[int]] = [[] for _ in range(max(columns, default=-1) + 1)]
        for i in sorted(range(len(self.columns)), key=self.owner.__getitem__):
            self.members[self.columns[i]].append(i)

    def _join(self, a: int, b: int) -> None:
        self.right[a].append(b)
        self.left[b].append(a)


def _reach(spans: list[list[int]], most: int) -> int:
    """Return how many columns an edge may span so that there are not too many bends."""
    reach = max((span for each in spans for span in each), default=1)
    while reach > 1 and most < sum(
        max((span for span in each if span <= reach), default=1) - 1 for each in spans
    ):
        reach //= 2
    return reach


# -----------------------------------------------------------------------------
# 3. order


def _order(graph: _Bent) -> list[list[int]]:
    """Return the columns, each from top to bottom, in an order of few crossings."""
    order = [[*column] for column in graph.members]
    best, fewest = order, _crossings(graph, order)
    place = [0] * len(graph.owner)
    for sweep in range(ORDER_SWEEPS):
        if fewest == 0:
            break
        for column in order:
            _number(place, column)
        neighbours = graph.left if sweep % 2 else graph.right
        order = [[*column] for column in order]
        for column in order if sweep % 2 else reversed(order):
            mean = {
                i: sum([place[j] for j in neighbours[i]]) / len(neighbours[i])
                if neighbours[i]
                else place[i]
                for i in column
            }
            column.sort(key=mean.__getitem__)
            _number(place, column)
        crossings = _crossings(graph, order)
        if crossings < fewest:
            best, fewest = order, crossings
    return best


def _number(place: list[int], column: list[int]) -> None:
    for k, i in enumerate(column):
        place[i] = k


def _crossings(graph: _Bent, order: list[list[int]]) -> int:
    """Count the pairs of lines that cross."""
    place = [0] * len(graph.owner)
    crossings = 0
    for column in order:
        _number(place, column)
    for column in order:
        ends: list[int] = []  # of the lines so far, sorted: those below this one cross it
        for i in column:
            to = sorted([place[j] for j in graph.right[i]])
            for end in to:
                crossings += len(ends) - bisect_right(ends, end)
            for end in to:
                insort(ends, end)
    return crossings


# -----------------------------------------------------------------------------
# 4. heights


def _heights(graph: _Bent, order: list[list[int]], heights: list[float]) -> list[float]:
    """Return the height y of the middle of each box and bend, from 0 at the top."""
    n = len(graph.members) and len(heights)
    boxes = sum(1 for i in range(n) if graph.owner[i] == i)
    gaps = [
        [
            (heights[i] + heights[j]) / 2
            + (BOX_DISTANCE if i < boxes and j < boxes else BEND_DISTANCE)
            for i, j in zip(column, column[1:])
        ]
        for column in order
    ]
    y = [0.0] * n
    for column, gap in zip(order, gaps):
        at = -sum(gap) / 2
        for i, distance in zip(column, [*gap, 0.0]):
            y[i] = at
            at += distance
    least = [LEAF] * boxes + [1.0] * (n - boxes)
    firmness = [max(depths) ** 2 for depths in zip(_depths(graph), least)]
    for sweep in range(HEIGHT_SWEEPS):
        neighbours = graph.left if sweep % 2 else graph.right
        last = sweep >= HEIGHT_SWEEPS - 2
        forward = sweep % 2 == 1
        pairs = list(zip(order, gaps))
        for column, gap in pairs if forward else reversed(pairs):
            wanted, weights = [], []
            for i in column:
                near = graph.left[i] + graph.right[i] if last else neighbours[i]
                pulls = [(PULLS[(i < boxes) + (j < boxes)] * firmness[j], y[j]) for j in near]
                weight = sum([w for w, _ in pulls])
                wanted.append(sum([w * at for w, at in pulls]) / weight if pulls else y[i])
                weights.append((weight or 0.1) * firmness[i])
            for i, at in zip(column, _apart(wanted, weights, gap)):
                y[i] = at
    top = min((y[i] - heights[i] / 2 for i in range(n)), default=0.0)
    return [float(round(at - top)) for at in y]


def _depths(graph: _Bent) -> list[int]:
    """Return how many boxes lead to each, on the longest way; a bend has its box's number."""
    depths = [0] * len(graph.owner)
    for column in graph.members:
        for i in column:
            is_box = graph.owner[i] == i
            depths[i] = max([depths[j] + is_box for j in graph.left[i]], default=0)
    return depths


def _apart(wanted: list[float], weights: list[float], gaps: list[float]) -> list[float]:
    """Return the places nearest to those wanted, by least squares, that are these gaps apart.

    Without the gaps this is isotonic regression: neighbours in the wrong order are put together
    at their mean, again and again.
    """
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    groups: list[tuple[float, float, int]] = []  # mean, weight, and how many
    for at, weight, offset in zip(wanted, weights, offsets):
        mean, count = at - offset, 1
        while groups and groups[-1][0] > mean:
            other, more, n = groups.pop()
            mean = (mean * weight + other * more) / (weight + more)
            weight, count = weight + more, count + n
        groups.append((mean, weight, count))
    means = [mean for mean, _, count in groups for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets)]


# -----------------------------------------------------------------------------
# all together


def _drawn(
    graph: _Bent, sizes: Sequence[tuple[float, float]], columns: list[int], y: list[float]
) -> Layout:
    n = len(sizes)
    widths = [max((sizes[i][0] for i in column if i < n), default=0.0) for column in graph.members]
    lefts = [0.0] * len(widths)
    for k in range(1, len(widths)):
        steepest = max(abs(y[i] - y[j]) for i in graph.members[k - 1] for j in graph.right[i])
        distance = COLUMN_DISTANCE + min(0.15 * steepest, 90.0)
        lefts[k] = lefts[k - 1] + widths[k - 1] + float(round(distance))

    def line(i: int, j: int) -> Line:
        k, m = graph.columns[i], graph.columns[j]
        leaves, right = lefts[k] + (widths[k] if i < n else 0.0), lefts[k] + widths[k]
        arrives = lefts[m] + (widths[m] - sizes[j][0] if j < n else 0.0)
        return leaves, right, lefts[m], arrives, y[i], y[j]

    lines: list[list[Line]] = [[] for _ in sizes]
    for i, owner in enumerate(graph.owner):
        lines[owner] += [line(i, j) for j in graph.right[i]]
    for i, j in graph.far:
        lines[i].append(line(i, j))
    return Layout(
        width=lefts[-1] + widths[-1] if widths else 0.0,
        height=max((y[i] + h / 2 for i, (_, h) in enumerate(sizes)), default=0.0),
        columns=columns,
        # boxes end where their column ends: their lines all leave there
        corners=[
            (lefts[k] + widths[k] - w, y[i] - h / 2)
            for i, (k, (w, h)) in enumerate(zip(columns, sizes))
        ],
        lines=lines,
    )
