"""The command line."""

import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import time

import pytest

from micrograd import __version__, cli
from micrograd.run import CourseRun


def test_options(capsys):
    assert cli.main(["--steps", "2", "--hidden", "4", "--hidden", "3,2", "--points", "40",
                     "--data", "circles", "--seed", "7"]) == 0  # fmt: skip
    from micrograd import compiled

    run = CourseRun(compiled, hidden=[4, 3, 2], points=40, data="circles", seed=7)
    assert capsys.readouterr().out == "".join(f"{line}\n" for line in run.lines(2))
    assert len(run.model.layers) == 4


@pytest.mark.parametrize("data", ["simple", "circles", "yinyang"])
def test_engines_agree(capsys, data):
    outputs = []
    for backend in ("c", "python"):
        assert cli.main(["--backend", backend, "--data", data, "--steps", "2"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] and outputs[0].startswith("step 0, val loss ")


@pytest.mark.parametrize(
    "words",
    [
        ["--steps", "0"], ["--steps", "x"], ["--hidden", "3,0"], ["--data", "moons"],
        ["--backend", "rust"], ["--graph", "x.svg", "--backend", "torch"], ["--what"],
        ["--points", "1"], ["--points", "5"], ["--hidden", ""], ["--steps", "-3"],
        ["--graph", "x.foo"], ["--graph", ""],
    ],
)  # fmt: skip
def test_wrong_words(words, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2 and "usage:" in capsys.readouterr().err


def test_wrong_numbers(capsys, tmp_path):
    assert cli.main(["--seed", "0"]) == 1
    assert capsys.readouterr().err == "micrograd: error: a seed must be at least 1, not 0\n"
    assert cli.main(["--points", "6", "--steps", "1"]) == 0
    capsys.readouterr()
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit):  # before it trains
        cli.main(["--graph", str(tmp_path / "file" / "x.svg")])
    out, err = capsys.readouterr()
    assert out == "" and f"there is no folder {str(tmp_path / 'file')!r}" in err


@pytest.mark.parametrize("message", ["no memory for 7 points", ""])
def test_there_is_no_memory(monkeypatch, capsys, message):
    """One line, wherever it was missing: Python's own MemoryError has no text."""

    def fail(*args, **kwargs):
        raise MemoryError(message)

    for name in ("parse", "CourseRun", "train"):
        with monkeypatch.context() as patch:
            patch.setattr(cli, name, fail)
            assert cli.main(["--steps", "1"]) == 1
        expected = message or "there is not enough memory"
        assert capsys.readouterr() == ("", f"micrograd: error: {expected}\n")


def test_version_and_script():
    script = shutil.which("micrograd", path=os.path.dirname(sys.executable))
    for command in ([script], [sys.executable, "-m", "micrograd"]):
        run = subprocess.run([*command, "--version"], capture_output=True, text=True)
        assert run.stdout == f"micrograd {__version__}\n"


@pytest.mark.parametrize("backend", ["c", "python"])
def test_graph(tmp_path, monkeypatch, backend):
    """An .svg file needs neither graphviz's package nor its program."""
    monkeypatch.setitem(sys.modules, "graphviz", None)
    monkeypatch.setenv("PATH", "")
    path = tmp_path / "loss.svg"
    words = ["--steps", "1", "--hidden", "2", "--backend", backend, "--graph", str(path)]
    assert cli.main(words) == 0
    svg = path.read_text("utf-8")
    assert svg.count('"lightgreen"') == 2 * 3 + 3 * 3 and svg.count('"lightblue"') == 2
    for name in ("x0", "x1", "layers.0.neurons.1.b", "layers.1.neurons.2.w.0"):
        assert svg.count(f">{name}<") == 1
    assert os.listdir(tmp_path) == ["loss.svg"]
    assert cli.main(["--steps", "1", "--hidden", "20", "--graph", str(path)]) == 0
    assert len(path.read_text("utf-8")) > 2 * len(svg)


def test_graph_by_graphviz(tmp_path):
    pytest.importorskip("graphviz")
    assert cli.main(["--steps", "1", "--hidden", "2", "--graph", str(tmp_path / "loss.png")]) == 0
    source = (tmp_path / "loss.dot").read_text()
    assert source.count("lightgreen") == 2 * 3 + 3 * 3 and source.count("lightblue") == 2
    assert "layers.0.neurons.1.b" in source and '"x0\n' in source
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("missing", ["package", "program"])
def test_graph_without_graphviz(tmp_path, monkeypatch, capsys, missing):
    """Said before the training."""
    pytest.importorskip("graphviz")
    if missing == "package":
        monkeypatch.setitem(sys.modules, "graphviz", None)
    else:
        monkeypatch.setenv("PATH", "")
    assert cli.main(["--steps", "1", "--graph", str(tmp_path / "loss.png")]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("micrograd: error: ")
    hint = {"package": "pip install graphviz", "program": "apt install graphviz"}
    assert hint[missing] in err and os.listdir(tmp_path) == []


def test_a_setting_that_matplotlib_refuses(tmp_path):
    pytest.importorskip("matplotlib")
    run = subprocess.run(
        [sys.executable, "-m", "micrograd", "--steps", "1", "--plot", str(tmp_path / "run.png")],
        env={**os.environ, "MPLBACKEND": "nope"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (2, "")
    assert "--plot: matplotlib refuses a setting: " in run.stderr and "'nope'" in run.stderr
    assert "Traceback" not in run.stderr and os.listdir(tmp_path) == []


def test_interrupt():
    run = subprocess.Popen(
        [sys.executable, "-m", "micrograd", "--backend", "python", "--steps", "1000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # a shell's background jobs, and so their children, ignore the signal
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    run.stdout.readline()
    time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=20)
    assert (run.returncode, err) == (130, "micrograd: interrupted\n")


def test_a_reader_that_has_seen_enough():
    run = subprocess.Popen(
        [sys.executable, "-m", "micrograd", "--steps", "20000", "--points", "10"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    run.stdout.readline()
    run.stdout.close()
    assert run.stderr.read() == ""
    run.stderr.close()
    assert run.wait(timeout=20) == 1


def test_progress_on_a_terminal():
    """A bar on a terminal's standard error, if tqdm is there; the lines go on unharmed."""
    pty = pytest.importorskip("pty")
    pytest.importorskip("tqdm")
    master, slave = pty.openpty()
    fcntl = pytest.importorskip("fcntl")
    fcntl.ioctl(slave, 0x5414, struct.pack("4H", 24, 80, 0, 0))  # TIOCSWINSZ: 24 rows, 80 columns
    run = subprocess.Popen(
        [sys.executable, "-m", "micrograd", "--backend", "python", "--steps", "15"],
        stdout=subprocess.PIPE, stderr=slave, text=True,
    )  # fmt: skip
    out, _ = run.communicate(timeout=60)
    bar = b""
    while select.select([master], [], [], 0.1)[0]:
        bar += os.read(master, 1000)
    os.close(slave)
    os.close(master)
    assert run.returncode == 0
    assert out.count("train loss") == 15 and out.startswith("step 0, val loss 0.917090\n")
    assert b"step/s" in bar or b"s/step" in bar
