"""The command line: `micrograd`, or `python -m micrograd`, trains the course's network."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from contextlib import contextmanager, nullcontext

from . import backend, draw_dot, picture, vis_color
from .plot import decision_surface, loss_curve
from .pure.data import split_points
from .run import DATA_SETS, CourseRun
from .version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

ENGINES = {"c": "compiled", "python": "pure", "torch": "pytorch"}

PICTURES = (".svg", ".png", ".pdf", ".jpg", ".gif", ".ps")
PLOTS = (".png", ".svg", ".pdf")

SHARDS = 8  # into which --workers divides the data


def positive(text: str) -> int:
    """Read an integer above 0, for argparse."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer above 0")
    return int(text)


def sizes(text: str) -> list[int]:
    """Read a comma-separated list of integers above 0, for argparse."""
    return [positive(part) for part in text.split(",")]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line: a list of words, or None for this process's own."""
    parser = argparse.ArgumentParser(
        prog="micrograd",
        description="Train the course's network on points of the plane, and print the losses.",
    )
    add = parser.add_argument
    add("--steps", type=positive, default=100, metavar="N", help="training steps (100)")
    add(
        "--hidden",
        type=sizes,
        action="append",
        metavar="N[,N...]",
        help="neurons in each hidden layer (16); a list, or repeated",
    )
    add("--points", type=positive, default=100, metavar="N", help="points in the data set (100)")
    add("--data", choices=DATA_SETS, default="simple", help="the data set (simple)")
    add("--seed", type=int, default=42, metavar="N", help="of the random numbers (42)")
    add("--backend", choices=ENGINES, default=backend, help=f"the engine ({backend})")
    add(
        "--graph",
        metavar="FILE",
        help="then draw one point's loss into FILE (.svg; .png ... by graphviz)",
    )
    add(
        "--workers",
        type=positive,
        metavar="N",
        help=f"train by N processes of Dask's, the data in {SHARDS} parts: the same digits for "
        "every N; without --workers the last places are others",
    )
    add("--plot", metavar="FILE", help="then plot the losses and the classes (.png, .svg, .pdf)")
    add("--version", action="version", version=f"micrograd {__version__}")
    options = parser.parse_args(arguments)
    options.hidden = [n for part in options.hidden or [[16]] for n in part]
    if not all(split_points([*range(options.points)])[:2]):
        parser.error(f"--points {options.points} leaves none to train or to validate with")
    if options.graph is not None:
        if not options.graph.endswith(PICTURES):
            parser.error(f"--graph {options.graph!r} must end in one of {' '.join(PICTURES)}")
        check_folder(parser, "--graph", options.graph)
        if options.backend == "torch":
            parser.error("--graph needs an engine of ours: --backend c or python")
    if options.plot is not None:
        check_plot(parser, options)
    if options.workers is not None:
        check_workers(parser, options)
    return options


def check_folder(parser: argparse.ArgumentParser, option: str, filename: str) -> None:
    """Refuse a file in a folder that is not there, before the training."""
    folder = os.path.dirname(filename) or "."
    if not os.path.isdir(folder):
        parser.error(f"{option} {filename!r}: there is no folder {folder!r}")


def check_plot(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse a plot that could not be written after the training."""
    if not options.plot.endswith(PLOTS):
        parser.error(f"--plot {options.plot!r} must end in one of {' '.join(PLOTS)}")
    check_folder(parser, "--plot", options.plot)
    if options.backend == "torch":
        parser.error("--plot needs an engine of ours: --backend c or python")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        parser.error("--plot needs matplotlib: pip install matplotlib")
    except ValueError as problem:  # of a setting: in MPLBACKEND, say, or in its file
        parser.error(f"--plot: matplotlib refuses a setting: {problem}")


def check_workers(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse workers where there is no Dask, or another engine than ours."""
    if options.backend == "torch":
        parser.error("--workers needs an engine of ours: --backend c or python")
    try:
        import distributed  # noqa: F401
    except ImportError:
        parser.error("--workers needs Dask: pip install distributed")


@contextmanager
def workers(run: CourseRun, n: int) -> Iterator[None]:
    """Let so many processes compute the run's training loss, while the block is open."""
    from .parallel import Trainer, local_client

    with local_client(n) as client:
        shards = min(SHARDS, len(run.train))
        run.backward = Trainer(run.model, run.train, client, shards=shards).backward
        yield


def progress(steps: int) -> Any:
    """Return tqdm's bar, or None where it is not wanted: no terminal, or no tqdm."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=steps, unit="step", delay=1, leave=False, file=sys.stderr)


def train(run: CourseRun, steps: int) -> None:
    """Print the lines of the run."""
    bar = progress(steps)
    if bar is None:
        for line in run.lines(steps):
            print(line)
        return
    with bar:
        for line in run.lines(steps):
            bar.write(line, file=sys.stdout)
            bar.update("train" in line)


def draw(run: CourseRun, filename: str) -> None:
    """Draw the graph of the first training point's loss, parameters and inputs in colour."""
    vis_color(run.model.parameters(), "lightgreen")
    x, label = run.train[0]
    x = [run.engine.Value(xi, label=f"x{i}") for i, xi in enumerate(x)]
    vis_color(x, "lightblue")
    loss = run.engine.mean_cross_entropy(run.model, [(x, label)])
    loss.backward()
    if not needs_graphviz(filename):
        picture(loss, names=run.model, max_nodes=None).save(filename)
        return
    outfile, ending = os.path.splitext(filename)
    draw_dot(
        loss, format=ending[1:], outfile=outfile, names=run.model, max_nodes=None, timeout=60.0
    )


def needs_graphviz(filename: str) -> bool:
    """Tell whether a picture in this file is graphviz's; .svg is our own."""
    return not filename.endswith(".svg")


def plot(run: CourseRun, filename: str) -> None:
    """Plot the losses, and beside them the classes that the network sees in the plane."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    loss_curve(run.losses, left)
    decision_surface(run.model, run.train, right)
    figure.savefig(filename)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: a list of words; None takes this process's own.
    """
    try:
        options = parse(arguments)
        if options.graph and needs_graphviz(options.graph):  # before the training, not after it
            from .pictures.dot_program import check_program, graphviz_package

            graphviz_package()
            check_program()
        engine = importlib.import_module(f".{ENGINES[options.backend]}", __package__)
        run = CourseRun(engine, options.hidden, options.points, options.data, options.seed)
        with workers(run, options.workers) if options.workers else nullcontext():
            train(run, options.steps)
        if options.graph:
            draw(run, options.graph)
        if options.plot:
            plot(run, options.plot)
        sys.stdout.flush()  # so that its failures are ours to report
    except KeyboardInterrupt:
        print("micrograd: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader has seen enough, as in `micrograd | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError as problem:  # Python's own has no text
        print(f"micrograd: error: {str(problem) or 'there is not enough memory'}", file=sys.stderr)
        return 1
    except (ImportError, ValueError, ArithmeticError, RuntimeError, OSError) as problem:
        print(f"micrograd: error: {problem}", file=sys.stderr)
        return 1
    return 0
