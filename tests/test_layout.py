"""Where a drawing has its boxes and lines."""

import random
import time

import pytest

from micrograd.pictures.layout import layout


def some_graph(seed):
    """Sizes and edges of a graph in which later boxes lead to earlier ones."""
    choose = random.Random(seed)
    n = choose.randint(1, 40)
    sizes = [(choose.randint(20, 150), choose.randint(20, 60)) for _ in range(n)]
    edges = [(i, choose.randrange(i)) for i in range(1, n) for _ in range(choose.randint(1, 3))]
    return sizes, edges


def chain(n):
    """Products that all have the first factor in common: box n, which leads to each."""
    return [(100, 35)] * (n + 1), [e for i in range(n) for e in ((i + 1, i), (n, i))]


def dense(n):
    """Each box leads to all that are before it."""
    return [(100, 35)] * n, [(i, j) for i in range(n) for j in range(i)]


def wide(n):
    return [(100, 35)] * (n + 1), [(i, 0) for i in range(1, n + 1)]


def staircase(n):
    """A sum of terms: each partial sum has a term of its own."""
    sums = [(i + 1, i) for i in range(n)]
    return [(100, 35)] * (2 * n + 1), [*sums, *[(n + 1 + i, i) for i in range(n)]]


GRAPHS = {
    "empty": ([], []),
    "one": ([(10, 10)], []),
    "apart": ([(10, 10)] * 3, []),
    "twice": ([(10, 10)] * 2, [(1, 0), (1, 0)]),
    "chain": chain(140),
    "dense": dense(60),
    "very dense": dense(200),
    "wide": wide(200),
    "staircase": staircase(150),
    **{f"random {seed}": some_graph(seed) for seed in range(12)},
}


@pytest.mark.parametrize("name", GRAPHS)
def test_boxes_and_lines(name):
    sizes, edges = GRAPHS[name]
    drawing = layout(sizes, edges)
    assert all(drawing.columns[a] < drawing.columns[b] for a, b in edges)
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(drawing.corners, sizes)]
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0 <= top and right <= drawing.width and bottom <= drawing.height
        for other in boxes[:i]:
            assert right < other[0] or other[2] < left or bottom < other[1] or other[3] < top, (
                boxes[i],
                other,
            )
    middles = [(top + bottom) / 2 for _, top, _, bottom in boxes]
    for a, lines in enumerate(drawing.lines):  # they lead from the right side of a ...
        reached = {(boxes[a][2], middles[a])}
        for x0, x1, x2, x3, y0, y1 in lines:
            assert x0 <= x1 < x2 <= x3 and (x0, y0) in reached
            reached.add((x3, y1))
        # ... to the left side of each box that it leads to
        assert all((boxes[b][0], middles[b]) in reached for c, b in edges if c == a)


@pytest.mark.parametrize("name", sorted(GRAPHS.keys() - {"very dense"}))
def test_lines_pass_no_box(name):
    sizes, edges = GRAPHS[name]
    drawing = layout(sizes, edges)
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(drawing.corners, sizes)]
    columns = {}  # their sides
    for k, (left, _, right, _) in zip(drawing.columns, boxes):
        sides = columns.get(k, (left, right))
        columns[k] = min(left, sides[0]), max(right, sides[1])
    for x0, x1, x2, x3, y0, y1 in {line for lines in drawing.lines for line in lines}:
        assert any(x1 == right for _, right in columns.values())  # the curve is between columns
        assert any(x2 == left for left, _ in columns.values())
        for left, top, right, bottom in boxes:
            for start, end, y in ((x0, x1, y0), (x2, x3, y1)):
                assert not (start < right and left < end and top < y < bottom)


def test_the_same_each_time():
    for sizes, edges in GRAPHS.values():
        assert vars(layout(sizes, edges)) == vars(layout(list(sizes), iter(edges)))


def test_a_tree_has_no_crossings():
    drawing = layout([(10, 10)] * 31, [(i, (i - 1) // 2) for i in range(1, 31)])
    for k in range(5):
        column = [i for i in range(31) if drawing.columns[i] == k]
        column.sort(key=lambda i: drawing.corners[i][1])
        parents = [drawing.corners[(i - 1) // 2][1] for i in column if i]
        assert parents == sorted(parents)


def test_sweeps_find_the_order_without_crossings():
    """Two ladders whose rungs are given in an order that crosses."""
    edges = [(3, 2), (4, 1), (1, 0), (2, 0), (5, 3), (6, 4)]
    drawing = layout([(10, 10)] * 7, edges)
    height = [y for _, y in drawing.corners]
    assert (height[1] < height[2]) == (height[4] < height[3]) == (height[6] < height[5])


def test_a_chain_is_straight():
    drawing = layout(*chain(140))
    heights = [y for _, y in drawing.corners[:140]]
    assert max(heights) - min(heights) <= 60


@pytest.mark.parametrize("graph", [chain(140), dense(300), wide(300), staircase(150)])
def test_time(graph):
    start = time.perf_counter()
    layout(*graph)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("graph", [chain(40), staircase(40)])
def test_long_chains_are_straight(graph):
    """Other boxes beside them stand on one side, and push them nowhere."""
    drawing = layout(*graph)
    heights = [drawing.corners[i][1] for i in range(35)]  # from its end on, at the right
    assert max(abs(y - other) for y, other in zip(heights, heights[1:])) <= 1.0
    assert max(heights) - min(heights) <= 10.0


def test_what_is_alike_stays_alike():
    """A product of two leaves is in the middle between them."""
    drawing = layout([(100, 30)] * 3, [(1, 0), (2, 0)])
    (_, y), (_, above), (_, below) = drawing.corners
    assert y == (above + below) / 2


def test_bends_are_bounded():
    """Where they would be too many the longest edges have none."""
    sizes, edges = dense(300)
    lines = layout(sizes, edges).lines
    assert len(edges) < sum(map(len, lines)) <= len(edges) + 20 * 300


@pytest.mark.parametrize("edges", [[(0, 0)], [(0, 1), (1, 0)], [(2, 1), (1, 0), (0, 1)]])
def test_circles(edges):
    with pytest.raises(ValueError, match="of the boxes are in a circle"):
        layout([(10, 10)] * 3, edges)
