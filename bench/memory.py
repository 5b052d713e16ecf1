"""How much memory a node takes, of a process that does nothing else.

    python -m bench.memory HOW ENGINE NODES

HOW is "ops", for a graph recorded one op at a time, or "call", for mean_cross_entropy.
It prints the graph's loss, and the bytes a node that the process has grown by: once the graph
is built, and at the peak of backward(). It asks Linux's /proc.
"""

import importlib
import sys

from .graphs import Graph, GraphInOneCall


def resident(name):
    """Return the process's resident bytes: "VmRSS" now, or "VmHWM", the most there were."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")


def measure(how, engine, nodes):
    """Build a graph and go backward over it; return its loss, and both figures."""
    kind = Graph if how == "ops" else GraphInOneCall
    small, graph = kind(engine, 1000), kind(engine, nodes)
    small.build()  # what is needed once, whatever the size, is there now
    small.backward()
    small.free()
    before = resident("VmRSS")
    graph.build()
    built = resident("VmRSS")
    graph.backward()
    peak = resident("VmHWM")
    return graph.loss.data, (built - before) / nodes, (peak - before) / nodes


if __name__ == "__main__":
    print(*measure(sys.argv[1], importlib.import_module(sys.argv[2]), int(sys.argv[3])), sep="\n")
