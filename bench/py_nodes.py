"""What a node costs that is recorded one op at a time from Python: the twin of c_nodes.c.

    python -m bench.py_nodes ENGINE NODES REPEATS

ENGINE is micrograd.compiled or micrograd.pure. It prints what c_nodes prints.
"""

import importlib
import statistics
import sys
import time

from .graphs import PHASES, Graph


def main(engine, nodes, repeats):
    graph = Graph(importlib.import_module(engine), int(nodes))
    seconds = {phase: [] for phase in PHASES}
    for i in range(int(repeats)):
        for phase in PHASES:
            if phase == "forward":
                graph.forward()  # the first one also keeps the order, for all that follow
            before = time.perf_counter()
            found = getattr(graph, phase)()
            seconds[phase].append(time.perf_counter() - before)
            if phase == "backward":
                numbers = graph.numbers()
                if i == 0:
                    print(*numbers, sep="\n")
            if phase == "order":
                count = found - len(graph.parameters)
    print(count)
    for phase in PHASES:
        print(statistics.median(seconds[phase]) / count)


if __name__ == "__main__":
    main(*sys.argv[1:])
