"""The measurements as pictures: paths, gpt and nodes.svg, the same bytes for the same numbers."""

import statistics

from .graphs import PHASES
from .measure import ONE_BY_ONE, ONE_CALL, ratio
from .paths import GPT, GROUPS, PATHS, WORD
from .report import digits, duration, medians_of, quartiles

# after Paul Tol's palettes, which the colour-blind can tell apart
BLUE, GREEN, YELLOW, RED, GREY = "#4477aa", "#228833", "#bb9922", "#cc3366", "#444444"
SETTINGS = {
    "svg.hashsalt": "micrograd",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "figure.facecolor": "white",  # GitHub may be dark around it
    "figure.constrained_layout.use": True,
}


def draw(found, folder):
    """Write the plots into a folder."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(SETTINGS):
        pictures = [("paths", course_picture), ("gpt", gpt_picture), ("nodes", nodes_picture)]
        for name, picture in pictures:
            figure = picture(pyplot, found)
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
            pyplot.close(figure)


def course_picture(pyplot, found):
    return paths_picture(pyplot, found, "The course's training step", GROUPS, "by hand", 7)


def gpt_picture(pyplot, found):
    return paths_picture(pyplot, found, "A small GPT", [GPT, WORD], "gpt by hand", 4)


def paths_picture(pyplot, found, title, groups, limit, height):
    """How long a step takes on every path of some groups, on one logarithmic axis.

    Args:
        limit: the path that the others are compared with.
        height: of the picture, in inches.
    """
    medians = medians_of(found)
    figure, axes = pyplot.subplots(figsize=(9, height))
    names, bold, shown = [], [], []
    for group, colour in zip(groups, [BLUE, GREEN, YELLOW, RED, GREY]):
        bold.append(len(names))
        names.append(group)
        paths = [path for path in PATHS if path.group == group and path.name in medians]
        for path in sorted(paths, key=lambda path: -medians[path.name]):
            step, place = medians[path.name], len(names)
            low, high = quartiles(found.steps[path.name].values())
            axes.plot([low, high], [place, place], color=colour, linewidth=2)
            axes.plot(step, place, "o", color=colour)
            words = f"{duration(step)}, {digits(ratio(found, path.name, limit))}x"
            axes.annotate(words, (high, place), (8, 0), textcoords="offset points", va="center")
            names.append(path.title)
            shown.append(step)
    axes.set_yticks(range(len(names)), names)
    for i in bold:
        axes.get_yticklabels()[i].set_fontweight("bold")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.8)
    axes.grid(axis="y", visible=False)
    axes.set_xscale("log")
    axes.set_xlim(min(shown) / 2, max(shown) * 20)
    axes.set_xlabel("seconds a step: median and quartiles; and how many times the limit, by hand")
    axes.set_title(title)
    return figure


def nodes_picture(pyplot, found):
    """What each phase takes a node, by the size of the graph."""
    figure, both = pyplot.subplots(1, 2, figsize=(9, 4.5), sharey=True)
    for axes, how in zip(both, (ONE_CALL, ONE_BY_ONE)):
        by_size = found.nodes[how]
        for phase, colour, marker in zip(PHASES, [GREY, RED, GREEN, YELLOW, BLUE], "oDsv^"):
            costs = [
                statistics.median([seconds[phase] for seconds in rounds]) / 1e-9
                for rounds in by_size.values()
            ]
            axes.plot(list(by_size), costs, color=colour, marker=marker, markersize=5, label=phase)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
        axes.set_ylim(1, 1000)
        axes.set_xlabel("nodes of the graph")
        axes.set_title(how)
    both[0].set_ylabel("nanoseconds a node")
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure
