"""What the bench makes of measurements, on numbers that are easy to follow."""

import math
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))  # the bench is no part of the package

from bench import __main__ as command  # noqa: E402
from bench import gpt, loops, measure, report, slotted, targets  # noqa: E402
from bench.graphs import PHASES, SIZES, expected_numbers  # noqa: E402
from bench.paths import BY_NAME, GROUPS, LOOPS, PATHS, baseline  # noqa: E402
from micrograd import compiled, pure  # noqa: E402

pytestmark = pytest.mark.unsanitized
GPT = ["gpt fresh", "gpt recorded", "gpt by hand", "gpt numpy"]
CALLS = ["fresh call", "recorded call", "first calls"]
ROUNDS = 3
# powers of two, so that every ratio is exact
BY_HAND = 2.0**-15  # seconds, in a quiet round; noise makes it up to 3 times as much
NODE = 2.0**-27
NOISE = [1, 3, 1.5]
# how many times as long as by hand
STEPS = {
    **{path.name: 100.0 for path in PATHS},
    "by hand": 1.0, "closures": 10_000.0, "ops": 100.0, "xad": 600.0,
    "fresh": 7.0, "replay": 1.5, "c fresh": 6.0,
    "gpt slotted": 2000.0, "gpt recorded": 1.0, "gpt by hand": 0.5, "gpt numpy": 3.0,
    "fresh call": 4.0, "recorded call": 1.0, "first calls": 7.0,
    "chain": 250.0, "read": 400.0, "write": 400.0, "add": 400.0,
    "pure user nodes": 200.0, "adamw": 5e-9 * 4192 / (1.5 * BY_HAND),
}  # fmt: skip


def measurements(missing=(), steps=STEPS, growth=1.5, memory=(40.0, 60.0)):
    """Measurements in which noise slows down all of a round, each round in another degree."""
    found = {
        path.name: {
            i: steps[path.name] * BY_HAND * NOISE[i] for i in range(ROUNDS) if i % path.every == 0
        }
        for path in PATHS
        if path.name not in missing
    }
    nodes = {
        how: {
            size: [
                dict.fromkeys(PHASES, NODE * noise * (growth if size == SIZES[-1] else 1))
                for noise in NOISE
            ]
            for size in SIZES
        }
        for how in (measure.ONE_BY_ONE, measure.ONE_CALL)
    }
    return measure.Measurements(
        steps=found,
        nodes=nodes,
        memory=dict.fromkeys(measure.MEMORY, memory),
        imports={"micrograd": [0.02, 0.03, 0.04]},
        missing={name: f"{name} is not installed" for name in missing},
        machine={"micrograd": "1.2.3", "Python": "P", "processor": "X", "compiler": "C"},
    )


def verdicts(quick=False, **changes):
    return targets.judge(measurements(**changes), quick)


# -----------------------------------------------------------------------------
# targets


def test_a_ratio_is_taken_within_a_round():
    found = measurements()
    assert measure.ratio(found, "fresh", "by hand") == 7
    # in its first round, the only one that it has, the machine was calm
    assert measure.ratio(found, "torch", "by hand") == 100
    found.steps["fresh"][0] *= 100  # one bad round of three
    assert measure.ratio(found, "fresh", "by hand") == 7
    assert measure.growth(found, measure.ONE_CALL) == 1.5
    found.steps["first calls"][0] *= 100
    assert measure.first_call(found) == 1.5


def test_the_best_rounds_are_compared_by_a_quick_look():
    found = measurements()
    found.steps["fresh"] = {0: 9 * BY_HAND, 1: 9 * BY_HAND, 2: 5 * BY_HAND}
    assert measure.ratio(found, "fresh", "by hand", best=True) == 5
    for rounds in found.nodes[measure.ONE_BY_ONE].values():
        rounds[0] = dict.fromkeys(PHASES, 1.0)
    assert measure.growth(found, measure.ONE_BY_ONE, best=True) == 1.5
    found.steps["recorded call"][1] = 3 * BY_HAND  # of its own time only the best round counts
    assert measure.first_call(found, best=True) == 1.5


def test_all_targets_are_reached():
    assert all(verdict.passed for verdict in verdicts())
    assert command.status(verdicts()) == 0
    values = [round(verdict.value, 9) for verdict in verdicts()]
    assert values == [
        100, 6, 20, 2, 3, 2000, 1.5, 2.5, 4, 4, 4, 2, 7, 1.5, 6, 5, 40, 60, 1.5, 1.5,
    ]  # fmt: skip


def test_a_quick_look_measures_what_the_targets_need():
    others = {path.name for path in PATHS} - {path.name for path in targets.PATHS}
    assert all(verdict.passed for verdict in verdicts(missing=others))


def change(name, factor):
    return {"steps": {**STEPS, name: STEPS[name] * factor}}


MISSED = [
    (change("closures", 89 / 100), [0]),
    (change("xad", 4.9 / 6), [1]),
    (change("gpt", 20 / 14.9), [2]),
    (change("gpt by hand", 2 / 2.1), [3]),
    (change("gpt numpy", 2.4 / 3), [4]),
    (change("gpt slotted", 1499 / 2000), [2, 5]),  # slower than 15 and than 1500 times as fast
    (change("first calls", 9.1 / 7), [6]),
    (change("chain", 3.1 / 2.5), [7]),
    (change("read", 5.1 / 4), [8]),
    (change("write", 5.1 / 4), [9]),
    (change("add", 5.1 / 4), [10]),
    (change("pure user nodes", 1.2 / 2), [11]),
    (change("fresh", 8.1 / 7), [12]),
    (change("replay", 1.9 / 1.5), [13]),
    (change("c fresh", 7.1 / 6), [14]),
    (change("adamw", 6.1 / 5), [15]),
    ({"memory": (48.1, 60.0)}, [16]),
    ({"memory": (40.0, 60.1)}, [17]),
    ({"growth": 3.1}, [18, 19]),
]


@pytest.mark.parametrize("changes, missed", MISSED)
def test_a_target_is_missed(changes, missed):
    found = verdicts(**changes)
    assert [i for i, verdict in enumerate(found) if not verdict.passed] == missed
    assert command.status(found) == 1
    assert report.targets_text(found).count("FAILED") == len(missed)
    # a quick look has a factor of two to spare
    assert command.status(verdicts(quick=True, **changes)) == 0


def test_a_quick_look_finds_what_is_far_off():
    for changes in (
        change("ops", 3), change("fresh", 3), change("gpt", 3), change("chain", 3),
        change("add", 3), change("user nodes", 4), {"growth": 6.1}, {"memory": (97.0, 97.0)},
        change("gpt recorded", 3), change("first calls", 3),
    ):  # fmt: skip
        assert command.status(verdicts(quick=True, **changes)) == 1


def test_what_is_not_measured_is_said_and_fails_nothing():
    found = verdicts(missing=["xad"])
    assert found[1].passed is None
    assert command.status(found) == 0
    assert "not measured" in report.targets_text(found).splitlines()[2]


@pytest.mark.parametrize("bad, looks, status", [(0, 1, 0), (2, 3, 0), (3, 3, 1), (9, 3, 1)])
def test_a_quick_look_is_repeated_if_it_fails(monkeypatch, capsys, bad, looks, status):
    efforts = []

    def measure_badly(effort):
        efforts.append(effort)
        return measurements(**change("fresh", 3 if len(efforts) <= bad else 1))

    monkeypatch.setattr(command, "measure", measure_badly)
    assert command.main(["--quick"]) == status
    assert efforts == [command.QUICK] * looks
    assert capsys.readouterr().out.count("FAILED") == status


def test_a_wrong_result_ends_the_run(monkeypatch):
    def measure_wrongly(effort):
        raise measure.WrongResult("2 + 2")

    monkeypatch.setattr(command, "measure", measure_wrongly)
    with pytest.raises(SystemExit, match=r"wrong: 2 \+ 2"):
        command.main(["--quick"])


# -----------------------------------------------------------------------------
# documents


def rows_of(text, title):
    return [line for line in text.splitlines() if line.startswith(f"| {title} |")]


def test_results():
    found = measurements(missing=["xad", "jax"])
    text = report.results(found, targets.judge(found))
    assert "- micrograd: 1.2.3" in text and f"{ROUNDS} rounds" in text
    assert rows_of(text, "C, derived by hand") == [
        "| C, derived by hand | 45.8 µs | 38.1 µs to 68.7 µs | 10000x | 1.00x |",
        "| C, derived by hand | 22.9 µs | 19.1 µs to 34.3 µs | 4000x | 1.00x |",
    ]
    assert rows_of(text, "micrograd, one recording") == [
        "| micrograd, one recording | 45.8 µs | 38.1 µs to 68.7 µs | 2000x | 2.00x |"
    ]
    assert rows_of(text, "the first two calls") == [
        "| the first two calls | 320 µs | 267 µs to 481 µs | 1.75x |"
    ]
    assert rows_of(text, "micrograd")[:-1] == [  # the last one is of the imports
        "| micrograd | 4.58 ms | 3.81 ms to 6.87 ms | 100x | 100x |",
        "| micrograd | 4.58 ms | 3.81 ms to 6.87 ms | 20.0x |",  # of the GPT
        # of the loops an operation
        "| micrograd | 5.72 µs | 4.77 µs to 8.58 µs | 2.50x |",
        *3 * ["| micrograd | 4.58 µs | 3.81 µs to 6.87 µs | 4.00x |"],
        "| micrograd | 458 ns | 381 ns to 687 ns | 0.50x |",
    ]
    assert rows_of(text, "floats") == ["| floats | 2.29 µs | 1.91 µs to 3.43 µs |  |"]
    for path in PATHS:
        assert rows_of(text, path.title), path
    assert rows_of(text, "XAD-py") == ["| XAD-py | not measured |  |  |  |"]
    assert "\nNot measured: XAD-py (one op at a time from Python): xad is not installed.\n" in text
    assert rows_of(text, "1e7") == 2 * ["| 1e7 | 16.8 | 16.8 | 16.8 | 16.8 | 16.8 | 50.3 |"]
    # of the step three, of the GPT, of user's nodes and of AdamW one, and memory
    assert len(rows_of(text, "micrograd.pure")) == 7
    assert text.count("not measured") == 3  # two paths and a target
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 10
    for rows in tables:
        assert len({line.count("|") for line in rows.splitlines()}) == 1


def test_durations():
    for seconds, words in [
        (2, "2.00 s"), (0.9996, "1000 ms"), (0.02034, "20.3 ms"), (1e-3, "1.00 ms"),
        (9.996e-5, "100 µs"), (9.994e-6, "9.99 µs"), (4.5e-7, "450 ns"),
    ]:  # fmt: skip
        assert report.duration(seconds) == words


READMES = [*report.READMES.items()]


@pytest.mark.parametrize("name, words", READMES)
def test_readme_between_the_markers(name, words):
    found = measurements()
    text = "before\n<!-- bench -->\nold | \\1 | table\n<!-- /bench -->\nafter\n<!-- /bench -->\n"
    new = report.readme(text, found, words)
    assert new.startswith("before\n<!-- bench -->\n") and "old" not in new
    assert new.endswith("\n<!-- /bench -->\nafter\n<!-- /bench -->\n")
    rows = [line for line in new.splitlines() if line.startswith("| ")]
    assert [row.split(" | ", 1)[1] for row in rows] == [
        f"{words.head[1]} | {words.head[2]} |", "---: | ---: |",
        "458 ms | 1.00x |", "4.58 ms | 100x |", "320 µs | 1429x |", "68.7 µs | 6667x |",
        "91.6 ms | 1.00x |", "45.8 µs | 2000x |",
    ]  # fmt: skip
    assert re.search(rf"\b{ROUNDS} .*micrograd\s1\.2\.3\b.*\bX; P; C[.。]\n", new, re.DOTALL)
    assert report.readme(new, found, words) == new


@pytest.mark.parametrize("name, words", READMES)
def test_the_readme_has_figures_of_results(name, words):
    """What is between its markers was written in the run that wrote RESULTS.md."""
    shown = report.MARKERS.search((ROOT / name).read_text(encoding="utf-8"))[0]
    results = (ROOT / "bench" / "RESULTS.md").read_text(encoding="utf-8")
    head, _, *rows = (
        line[2:-2].split(" | ") for line in shown.splitlines() if line.startswith("| ")
    )
    assert [head[1:], [row[0] for row in rows]] == [words.head[1:], [*words.titles.values()]]
    for _, time, ratio in rows:
        assert re.search(rf"^\|.*\| {time} \|.*\| {ratio} \|", results, re.MULTILINE)


@pytest.mark.parametrize("text", ["", "no markers", "<!-- bench -->\nonly one", "<!-- /bench -->"])
def test_readme_without_markers_is_left_alone(text):
    for words in report.READMES.values():
        assert report.readme(text, measurements(), words) == text


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # matplotlib's own, of some versions
def test_written_files(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "bench").mkdir()
    for name in report.READMES:
        (tmp_path / name).write_text("µ <!-- bench -->\n<!-- /bench -->\n", encoding="utf-8")
    found = measurements(missing=["jax"])
    written = []
    for _ in range(2):
        command.write(found, targets.judge(found), tmp_path)
        files = sorted(tmp_path.rglob("*.*"))
        assert [f.name for f in files] == [
            "README.md", "README.zh.md", "RESULTS.md", "gpt.svg", "nodes.svg", "paths.svg",
        ]  # fmt: skip
        written.append([f.read_bytes() for f in files])
    assert written[0] == written[1]  # the same bytes for the same numbers
    for readme, words in zip(written[0], report.READMES.values()):
        assert words.titles["gpt slotted"] in readme.decode()
    for picture in written[0][3:]:
        assert b"<svg" in picture and b"<dc:date>" not in picture


# -----------------------------------------------------------------------------
# wrong numbers


def printed(losses):
    return lambda *_, **__: [*map(repr, losses), "1e-05"]


def test_wrong_losses_are_found(monkeypatch):
    good = measure.expected_losses(GROUPS[0])
    assert len(good) == measure.CHECKED and 0.98 < good[0] < 0.99
    nearly = [loss * (1 + 1e-14) for loss in good]
    wrong = [*good[:9], good[9] * (1 + 1e-9)]
    exact, rival = BY_NAME["fresh"], BY_NAME["autograd"]
    for path, losses, right in [
        (exact, good, True), (exact, nearly, False), (exact, wrong, False),
        (exact, good[:9], False), (exact, [float("nan"), *good[1:]], False),
        (rival, good, True), (rival, nearly, True), (rival, wrong, False),
    ]:  # fmt: skip
        monkeypatch.setattr(measure, "output", printed(losses))
        if right:
            measure.check(path)
        else:
            with pytest.raises(measure.WrongResult):
                measure.check(path)


def test_a_rival_that_fails_is_missing_and_our_own_is_an_error(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("it failed:\nImportError: no such thing")

    monkeypatch.setattr(measure, "output", fails)
    rival = BY_NAME["xad"]._replace(package="pytest")  # which is installed
    assert measure.check_all([rival]) == ([], {"xad": "it fails: ImportError: no such thing"})
    absent = rival._replace(package="no_such_package")
    assert measure.check_all([absent]) == ([], {"xad": "no_such_package is not installed"})
    with pytest.raises(RuntimeError):
        measure.check_all([BY_NAME["fresh"]])


# -----------------------------------------------------------------------------
# the commands


@pytest.mark.parametrize(
    "name",
    [
        "fresh", "replay", "by hand", "chain",
        *[pytest.param(name, marks=pytest.mark.slow) for name in ("c fresh", "c replay")],
        *[pytest.param(name, marks=pytest.mark.slow) for name in GPT],
        *CALLS,
    ],
)  # fmt: skip
def test_a_path(name):
    measure.check(BY_NAME[name])
    assert 1e-6 < measure.slice_of(BY_NAME[name], 0.01) < 1


def test_one_op_at_a_time_has_the_same_losses():
    for name in "closures", "ops":
        assert len(measure.take(BY_NAME[name], 3, 0)[0]) == 3


def test_the_gpt_is_the_same_on_all_values():
    found = []
    for engine in slotted, pure, compiled:
        model = gpt.GPT(engine)
        model.start()
        losses = [model.step() for _ in range(3)]
        found.append([float(x).hex() for x in losses + [p.data for p in model.parameters]])
    assert found[0] == found[1] == found[2]
    assert len(model.parameters) == 3920  # as RESULTS.md says


@pytest.mark.slow
def test_the_gpt_of_our_functions_is_the_gpt():
    """To the last digits: AdamW rounds in another place than the GPT's own loop."""
    one, other = gpt.GPT(slotted), gpt.FreshGPT(compiled)
    one.start()
    other.start()
    for _ in range(measure.CHECKED):
        assert math.isclose(one.step(), other.step(), rel_tol=measure.TOLERANCE)
    for p, q in zip(one.parameters, other.parameters):
        assert math.isclose(p.data, q.data, rel_tol=1e-9)


def test_the_gpt_learns():
    model = gpt.GPT(compiled)
    model.start()
    losses = [model.step() for _ in range(2 * len(gpt.WORDS))]
    first, second = losses[: len(gpt.WORDS)], losses[len(gpt.WORDS) :]
    assert sum(second) < 0.8 * sum(first)


@pytest.mark.parametrize("group", LOOPS)
def test_loops_are_the_same_on_all_that_they_go_over(group):
    one, other = [path for path in PATHS if path.group == group]
    assert one == baseline(group)
    assert other.words in [(one.words[0], other.words[-1]), ("adamw",)]
    measure.check(other)
    loop = getattr(loops, one.words[0].split(".")[1])
    assert one.operations == other.operations == loop.operations


@pytest.mark.parametrize(
    "name",
    [pytest.param("gpt", marks=pytest.mark.slow), "chain", "read", "write", "add", "user nodes"],
)
def test_what_a_loop_computes_wrongly_is_found(name, monkeypatch):
    path = BY_NAME[name]
    good = measure.expected_losses(path.group)
    for losses, right in (good, True), ([*good[:9], good[9] * (1 + 1e-14)], False):
        monkeypatch.setattr(measure, "output", printed(losses))
        if right:
            measure.check(path)
        else:
            with pytest.raises(measure.WrongResult, match=f"{name}: the loss of step 9"):
                measure.check(path)


@pytest.mark.parametrize("how", [measure.ONE_BY_ONE, measure.ONE_CALL])
def test_graphs_by_size(how):
    found = measure.nodes_by_size(how, [1000, 2000], rounds=1, say=lambda what: None)
    assert list(found) == [1000, 2000]
    for rounds in found.values():
        assert len(rounds) == 1 and list(rounds[0]) == PHASES
        assert all(0 < seconds < 1e-3 for seconds in rounds[0].values())


@pytest.mark.skipif(not measure.memory_is_known(), reason="this system has no /proc")
def test_memory(monkeypatch):
    built, peak = measure.memory_of(measure.ONE_CALL)
    assert 32 <= built <= peak < 1000
    monkeypatch.setattr(measure, "output", lambda command: ["0.5", "40.0", "60.0"])
    with pytest.raises(measure.WrongResult, match=r"0\.5"):
        measure.memory_of(measure.ONE_CALL)


def test_a_wrong_gradient_is_found(monkeypatch):
    numbers = [*map(repr, expected_numbers(1000)), "993", *["1e-9"] * len(PHASES)]
    monkeypatch.setattr(measure, "output", lambda command: numbers)
    assert measure.nodes_of(measure.ONE_CALL, 1000, 1) == dict.fromkeys(PHASES, 1e-9)
    numbers[99] = "0.25"
    with pytest.raises(measure.WrongResult, match="1000 nodes"):
        measure.nodes_of(measure.ONE_CALL, 1000, 1)
