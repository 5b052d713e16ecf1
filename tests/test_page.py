"""docs/micrograd.html, in a browser: what it computes, shows, and refuses.

Needs chromium, playwright, ziglang and wasmtime: `nox -s page` installs the last three.
"""

# ruff: noqa: RUF001 - full-width characters, which the scratch pad explains

import ctypes
import gzip
import importlib.util
import keyword
import math
import re
import shutil
import subprocess
import time
from base64 import b64decode
from pathlib import Path

import pytest

import micrograd

pytestmark = [pytest.mark.slow, pytest.mark.unsanitized]

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "micrograd.html"
CHROMIUM = next(
    filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None
)
OP = re.compile(r"^    OP_(\w+),", re.M)


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


build = module(ROOT / "page" / "build.py")


@pytest.fixture(scope="module")
def ziglang():
    pytest.importorskip("ziglang", reason="ziglang compiles the page's C: pip install ziglang")


@pytest.fixture(scope="module")
def browser():
    reason = "playwright drives the browser: pip install playwright"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    if not CHROMIUM:
        pytest.skip("there is no chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox"],
            ignore_default_args=["--hide-scrollbars"],  # they take room, as for most visitors
        )
        yield browser
        browser.close()


def opened(browser, width, height, **options):
    """The page, opened from disk. No test may leave a word on the console or ask for anything."""
    said = []
    size = {"width": width, "height": height}
    context = browser.new_context(viewport=size, locale="en-GB", **options)
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url))
    page.goto(PAGE.as_uri())
    page.wait_for_selector("body.ready")
    yield page
    context.close()
    asked = {PAGE.as_uri(), "data:,"}  # itself, and an icon that is none
    assert [word for word in said if word not in asked] == []


@pytest.fixture
def page(browser):
    yield from opened(browser, 1400, 950)


@pytest.fixture
def phone(browser):
    yield from opened(browser, 400, 800, has_touch=True, is_mobile=True)


def reload(page):
    page.reload()
    page.wait_for_selector("body.ready")


def enter(page, name, text):
    """A text in a field, and the key Enter."""
    page.fill(f"#{name}", text)
    page.press(f"#{name}", "Enter")


def tab(page, name):
    page.click(f"#tab-{name}")


def wait_until(page, condition, seconds=60):
    """Playwright's own wait_for_function is what the page's security policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


def train(page):
    """A hundred steps, by the page's own button, as fast as it goes."""
    page.fill("#speed", "5")
    page.click("#hundred")
    wait_until(page, "document.getElementById('play').innerText.startsWith('▶')")


def surface(page):
    return page.evaluate("document.getElementById('surface').toDataURL()")


# -----------------------------------------------------------------------------
# the file


def engine_of(html):
    """Take the engine out of a page: the rest of it, and the engine's bytes."""
    before, packed, after = re.split(r'(?<=id="engine">)([^<]*)', html)
    return before + after, gzip.decompress(b64decode(packed))


def test_it_is_small_and_of_these_sources():
    assert len(PAGE.read_bytes()) < 400_000
    assert build.is_current(), "run: python page/build.py"
    assert "http://" not in engine_of(build.text(PAGE))[0].replace("http://www.w3.org/2000/svg", "")


def test_it_is_what_the_build_gives(ziglang):
    assert engine_of(build.build()) == engine_of(build.text(PAGE))


def test_the_script_knows_the_operations():
    names = OP.findall((ROOT / "csrc" / "micrograd.h").read_text())
    script = (ROOT / "page" / "engine.js").read_text("utf-8")
    known = re.findall(r"([A-Z]+): (\d+)", script.split("const Op")[1].split("};")[0])
    assert known and all(names[int(number)] == name for name, number in known)


def test_the_scratch_pad_knows_the_keywords_of_python():
    script = (ROOT / "page" / "parse.js").read_text("utf-8")
    [listed] = re.findall(r"KEYWORDS = \((.*?)\)", script, re.S)
    assert re.findall(r"\w+", listed) == keyword.kwlist


def test_both_languages_have_the_same_texts():
    script = (ROOT / "page" / "text.js").read_text("utf-8")
    asked = set()
    for path in (ROOT / "page").glob("*.js"):
        asked |= set(re.findall(r'\bt\("(\w+)"', path.read_text("utf-8")))
    html = (ROOT / "page" / "index.html").read_text("utf-8")
    asked |= set(re.findall(r'data-(?:text|label)="(\w+)', html))
    used = asked.copy()
    for path in (ROOT / "page").glob("*.js"):  # given to others that show them
        used |= set(re.findall(r'"(\w+)"', path.read_text("utf-8")))
    texts = script.split("TEXTS")[1].split("\n};")[0]
    pairs = re.findall(r'^    (\w+): \[\s*"(.*?)",\s*"(.*?)",?\s*\]', texts, re.M | re.S)
    known = {key for key, *_ in pairs}
    assert asked <= known
    touch = {f"{key}Touch" for key in known}  # in the place of others
    assert {key for key in known - used - touch if not key.startswith("wrong_")} == set()
    for key, english, chinese in pairs:
        holes = [sorted(re.findall(r"\{\d\}", text)) for text in (english, chinese)]
        assert holes[0] == holes[1], key


# -----------------------------------------------------------------------------
# the page's C, for this machine: the same bits as Python


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if not shutil.which("cc"):
        pytest.skip("there is no C compiler")
    output = tmp_path_factory.mktemp("page") / "page.so"
    flags = build.text(ROOT / "csrc" / "cflags").split()
    command = ["cc", "-shared", "-fPIC", "-fvisibility=hidden", *flags, f"-I{ROOT / 'csrc'}"]
    subprocess.run([*command, "-o", output, *build.C_FILES, "-lm"], check=True)
    library = ctypes.CDLL(str(output))
    for name in ("run_loss", "run_evaluate", "gpt_loss"):
        getattr(library, name).restype = ctypes.c_double
    library.run_hidden.restype = ctypes.POINTER(ctypes.c_uint32)
    library.gpt_tokens.restype = ctypes.POINTER(ctypes.c_uint8)
    library.gpt_keys.restype = ctypes.POINTER(ctypes.c_double)
    library.run_start.argtypes = [ctypes.c_uint64, *[ctypes.c_int] * 4]
    library.gpt_start.argtypes = [ctypes.c_uint64, ctypes.c_int]
    library.gpt_step.argtypes = [ctypes.c_int, ctypes.c_double]
    library.gpt_make_up.argtypes = [ctypes.c_double]
    library.run_set_optimizer.argtypes = [ctypes.c_int, *[ctypes.c_double] * 5]
    return library


def start(library, seed=42, data=0, points=100, hidden=(16,), activation="TANH"):
    for k, size in enumerate(hidden):
        library.run_hidden()[k] = size
    op = OP.findall((ROOT / "csrc" / "micrograd.h").read_text()).index(activation)
    assert library.run_start(seed, data, points, len(hidden), op) == 0


def optimizers(parameters):
    """In the order of the page's C, with rates that are not the course's."""
    rates = {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-6}
    yield micrograd.AdamW(parameters, **rates, weight_decay=0.01)
    yield micrograd.Adam(parameters, **rates)
    yield micrograd.SGD(parameters, lr=0.05)


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize(
    "seed, data, points, hidden, activation",
    [(42, 0, 100, [16], "tanh"), (7, 1, 60, [4, 3], "relu"), (3, 2, 50, [5], "tanh")],
)
def test_a_run_is_that_of_python(library, kind, seed, data, points, hidden, activation):
    generate = [micrograd.gen_data, micrograd.gen_data_circles, micrograd.gen_data_yinyang]
    rng = micrograd.RNG(seed)
    train, val, _ = generate[data](rng, n=points)
    model = micrograd.MLP(2, [*hidden, 3], activation=activation, rng=rng)
    optimizer = [*optimizers(model.parameters())][kind]
    start(library, seed, data, points, hidden, activation.upper())
    library.run_set_optimizer(kind, 0.05, 0.8, 0.9, 1e-6, 0.01)
    for step in range(30):
        assert library.run_evaluate(1) == micrograd.eval_split(model, val)
        loss = micrograd.mean_cross_entropy(model, train)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        assert library.run_step() == 0
        assert library.run_loss() == loss.data, step


def test_the_gpt_is_that_of_python(library):
    gpt = module(ROOT / "examples" / "gpt.py")
    words = gpt.read(ROOT / "examples" / "rivers.txt")
    library.gpt_start(42, len(words))
    keys = library.gpt_keys()[: len(words)]
    in_c = [words[i] for i in sorted(range(len(words)), key=keys.__getitem__)]
    rng = micrograd.RNG(42)
    words.sort(key=lambda _: rng.random())
    assert in_c == words
    model = gpt.GPT(rng)
    optimizer = micrograd.AdamW(model.parameters(), betas=(0.9, 0.99))
    assert library.gpt_nparameters() == len(model.parameters())
    for word in words[:100]:
        loss = model.loss(word)
        loss.backward()
        optimizer.lr = 0.02 / (1 + optimizer.t / 100) ** 0.5
        optimizer.step()
        optimizer.zero_grad()
        for k, token in enumerate(word):
            library.gpt_tokens()[k] = token
        assert library.gpt_step(len(word), 0.02) == 0
        assert library.gpt_loss() == loss.data
    with micrograd.no_grad():
        for _ in range(5):
            word = gpt.make_up(model, 0.7, rng)
            n = library.gpt_make_up(0.7)
            assert [gpt.LETTERS[k] for k in library.gpt_tokens()[:n]] == [*word]


# -----------------------------------------------------------------------------
# the run


@pytest.fixture(scope="module")
def c_lines(ziglang, tmp_path_factory):
    """What csrc/main.c prints where the page's mathematics library is: as WebAssembly, too."""
    wasmtime = pytest.importorskip(
        "wasmtime", reason="wasmtime runs WebAssembly: pip install wasmtime"
    )
    folder = tmp_path_factory.mktemp("main")
    library = [path for path in build.C_FILES if path.parent.name == "csrc"]
    build.compile_c(folder / "main.wasm", sources=[ROOT / "csrc" / "main.c", *library])
    engine = wasmtime.Engine()
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    linker.define_wasi()
    config = wasmtime.WasiConfig()
    config.stdout_file = str(folder / "lines.txt")
    store.set_wasi(config)
    program = linker.instantiate(
        store, wasmtime.Module.from_file(engine, str(folder / "main.wasm"))
    )
    program.exports(store)["_start"](store)
    return (folder / "lines.txt").read_text().splitlines()


def test_the_run_is_that_of_the_c_program(page, c_lines):
    train(page)
    lines = page.evaluate("micrograd.run.lines")
    assert len(lines) == 110 and lines == c_lines
    assert page.evaluate("micrograd.run.train.length") == 100
    course = (ROOT / "tests" / "golden" / "course-run.txt").read_text().splitlines()
    first = next(a for a, b in zip(lines, course) if a != b)  # step 1 of musl, as it is now
    said = page.inner_text("#digits")
    equal = sum(a == b for a, b in zip(lines, course))
    assert f"step {first.split()[1].rstrip(',')}, " in said and f"{equal} of 110 lines" in said
    table = page.eval_on_selector_all("#lines tr", "rows => rows.map(row => row.innerText)")
    shown = [row.split("\t") for row in table]
    assert [row[0].strip() for row in shown] == lines
    assert [row[1].strip() for row in shown] == [line.split()[-1] for line in course]
    page.click("#step")  # of which the course says nothing
    assert page.inner_text("#digits") == said
    rows = page.locator("#lines tr")
    assert rows.count() == 112 and rows.nth(110).locator("mark").count() == 0
    assert rows.nth(110).locator("td").nth(1).inner_text() == "the course ends here"


def test_other_settings_are_not_compared(page):
    enter(page, "lr", "0.05")
    page.click("#step")
    assert "no digits of the course" in page.inner_text("#digits")
    enter(page, "hidden", "0")
    assert page.get_attribute("#hidden", "aria-invalid") == "true"
    assert "1 to 32 neurons" in page.inner_text("#setting-problem")
    enter(page, "lr", "x")
    assert "1 to 32 neurons" in page.inner_text("#setting-problem")  # the first one
    enter(page, "hidden", "4")
    assert "The learning rate is" in page.inner_text("#setting-problem")
    page.click("#course-settings")
    assert page.inner_text("#setting-problem") == ""


def test_numbers_beyond_all_bounds(page):
    page.select_option("#optimizer", "sgd")
    enter(page, "lr", "1e305")
    page.click("#hundred")
    wait_until(page, "micrograd.run.problem !== null")
    assert "the learning rate is too large" in page.inner_text("#problem")
    assert "press Reset" in page.inner_text("#problem")
    page.click("#course-settings")
    assert page.inner_text("#problem") == ""


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("data", ["circles", "yinyang"])
def test_all_that_can_be_chosen_learns(page, optimizer, data):
    page.select_option("#data", data)
    page.select_option("#optimizer", optimizer)
    page.select_option("#activation", "relu")
    enter(page, "hidden", "8, 8")
    train(page)
    losses = page.evaluate("micrograd.run.train")
    assert len(losses) == 100 and losses[-1] < losses[0]


def test_a_step_takes_at_most_three_times_the_native_one(page, library):
    """Native: recorded in every step, as csrc/main.c does. The page records once and replays."""

    def native():
        begin = time.perf_counter()
        for _ in range(100):
            library.run_set_points(80, 10)
            library.run_step()
        return (time.perf_counter() - begin) / 100

    script = """() => {
        const begin = performance.now();
        for (let i = 0; i < 100; i++) { %s micrograd.C.run_step(); }
        return (performance.now() - begin) / 100 / 1000;
    }"""
    start(library)
    library.run_set_optimizer(0, 0.1, 0.9, 0.95, 1e-8, 1e-4)
    replayed = min(page.evaluate(script % "") for _ in range(20))
    recorded = min(page.evaluate(script % "micrograd.C.run_set_points(80, 10);") for _ in range(20))
    of_native = min(native() for _ in range(20))
    figures = [f"{1e6 * x:.0f} µs" for x in (of_native, recorded, replayed)]
    print("a step, native, in the browser recorded, and replayed:", ", ".join(figures))
    assert replayed <= 3 * of_native


# -----------------------------------------------------------------------------
# the plane


def place(page, x, y):
    """Where a point of the plane is on the screen."""
    box = page.locator("#points-layer").bounding_box()
    return box["x"] + box["width"] * (0.5 + x / 4.4), box["y"] + box["height"] * (0.5 - y / 4.4)


def near(x, y):
    return pytest.approx([x, y], abs=1e-5)  # the screen's places are floats of 32 bits


def test_points_are_dragged_added_and_deleted(page):
    train(page)
    before, n = surface(page), page.evaluate("micrograd.run.points.length")
    loss = page.evaluate("micrograd.C.run_evaluate(0)")
    x, y = page.evaluate("[micrograd.run.points[0].x, micrograd.run.points[0].y]")
    page.mouse.move(*place(page, x, y))
    page.mouse.down()
    page.mouse.move(*place(page, 1.5, 0.5), steps=4)
    page.mouse.up()
    moved = page.evaluate("[micrograd.run.points[0].x, micrograd.run.points[0].y]")
    assert moved == near(1.5, 0.5)
    assert page.evaluate("micrograd.C.run_evaluate(0)") > loss  # it is in another class's field now
    train(page)
    assert surface(page) != before

    page.check("[name=tool][value='2']")
    page.mouse.click(*place(page, 1.9, -1.9))
    assert page.evaluate("micrograd.run.points.at(-1).label") == 2
    page.check("[name=tool][value=delete]")
    page.mouse.click(*place(page, 1.9, -1.9))
    assert page.evaluate("micrograd.run.points.length") == n
    page.evaluate("micrograd.run.points.length = 1")
    page.mouse.click(*place(page, *moved))
    assert "no points to train with" in page.inner_text("#problem")
    page.click("#new-points")
    assert page.evaluate("micrograd.run.points[0].x") == x
    assert page.inner_text("#problem") == ""


def test_a_point_stays_on_the_plane(page):
    x, y = page.evaluate("[micrograd.run.points[0].x, micrograd.run.points[0].y]")
    page.mouse.move(*place(page, x, y))
    page.mouse.down()
    page.mouse.move(*place(page, 3, -3), steps=4)
    page.mouse.up()
    inside = """() => {
        const plane = document.getElementById("points-layer").getBoundingClientRect();
        const mark = document.querySelector(".point.selected").getBoundingClientRect();
        return mark.right <= plane.right && mark.bottom <= plane.bottom;
    }"""
    assert page.evaluate(inside)
    page.check("[name=tool][value='1']")
    page.mouse.click(*place(page, 2.19, 0))
    assert page.evaluate(inside)


def test_clicks_close_together(page):
    n = page.evaluate("micrograd.run.points.length")
    page.check("[name=tool][value='2']")
    for k in range(3):
        page.mouse.click(*place(page, 1.9 + k / 100, -1.9))
        assert page.evaluate("micrograd.run.points.length") == n + k + 1
        assert page.inner_text("#live") == f"Added: class 2. Now {n + k - 9} train, 10 validate."
    page.mouse.move(*place(page, 1.9, -1.9))  # and a drag moves the nearest
    page.mouse.down()
    page.mouse.move(*place(page, 0, -2), steps=4)
    page.mouse.up()
    assert page.evaluate("micrograd.run.points.length") == n + 3
    assert page.inner_text("#live").startswith("Point at 0.0")
    page.check("[name=tool][value=delete]")
    page.mouse.click(*place(page, 2.1, 0.05))
    assert page.inner_text("#live") == "There is no point to delete here."
    page.evaluate(
        """const { points } = micrograd.run;
        while (points.length < 1000) points.push({ x: 0, y: 0, label: 0 });"""
    )
    page.check("[name=tool][value='2']")
    page.mouse.click(*place(page, 2.1, 0.05))
    assert page.inner_text("#live") == "There are 1000 points: no more can be added."
    assert page.evaluate("micrograd.run.points.length") == 1000


def test_the_plane_has_axes(page):
    """Across and up, and -2 only once; also after points have been drawn anew."""
    page.focus("#points-layer")
    page.keyboard.press("1")
    numbers = page.locator("#points-layer .axes text").all_text_contents()
    assert numbers == ["-2", "-1", "-1", "0", "0", "1", "1", "2", "2"]


def test_points_by_keys(page):
    page.focus("#points-layer")
    page.keyboard.press("n")
    x = page.evaluate("micrograd.run.points[0].x")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("micrograd.run.points[0].x") == x + 0.05
    assert page.inner_text("#live").startswith("Point at ")
    page.click("#point-graph-of")
    assert f"Point 0 at ({x + 0.05:.3f}" in page.inner_text("#point-now")
    tab(page, "train")
    page.focus("#points-layer")
    n = page.evaluate("micrograd.run.points.length")
    page.keyboard.press("1")
    assert page.evaluate("micrograd.run.points.length") == n + 1
    page.keyboard.press("Delete")
    assert page.evaluate("micrograd.run.points.length") == n


# -----------------------------------------------------------------------------
# graphs


def test_backward_in_steps_is_the_pass(page):
    page.click("#step")
    tab(page, "graph")
    page.focus("#point-graph svg")
    page.keyboard.press("Home")
    assert page.evaluate("micrograd.gradients().every(grad => grad === 0)")
    steps = page.evaluate("micrograd.pointGraph().steps.length")
    for _ in range(steps):
        page.keyboard.press(".")
    stepped, passed = page.evaluate("[micrograd.gradients(), micrograd.gradients(true)]")
    assert stepped == passed and any(passed)
    page.evaluate("micrograd.pointGraph().step = 0")
    page.keyboard.press(".")
    for _ in range(9):
        page.keyboard.press(".")
    ten = page.evaluate("micrograd.gradients()")
    page.keyboard.press(".")
    assert page.evaluate("micrograd.gradients()") != ten
    page.keyboard.press(",")
    assert page.evaluate("micrograd.gradients()") == ten
    assert ".grad +=" in page.inner_text("#point-graph .rule")
    names = page.evaluate("[...micrograd.pointGraph().names.values()]")
    assert len(names) == len({*names, "-max"}) + 2  # but for -max, of which there are three
    inner = {f"h0[{k}]" for k in range(16)} | {f"logit[{k}]" for k in range(3)} | {"p[0]", "loss"}
    assert inner <= {*names}


def test_the_graph_opens_at_the_loss(page):
    tab(page, "graph")
    assert page.inner_text("#point-graph .count") == "0 / 190"
    assert in_view(page, "#point-graph .current")
    assert page.text_content("#point-graph .current .name") == "loss"
    assert "It begins at loss, in the thick frame." in page.inner_text("#point-graph .rule")
    assert page.inner_text("#point-network p.note") == "All are 0 so far."
    assert "no rule and no step" in page.inner_text("#panel-graph [data-text=graphIntro]")
    page.click("#point-graph [data-label=stepForward]")
    assert "loss.grad = 1.0" in page.inner_text("#point-graph .rule")
    page.click("#point-graph [data-label=stepEnd]")
    computed, n = page.evaluate(
        "[micrograd.pointGraph().nodes.filter(({a}) => a).length, micrograd.pointGraph().n]"
    )
    rule = page.inner_text("#point-graph .rule")
    assert f"had one: {computed}.\nLeaves have no rule and so no step: {n - computed}." in rule


def test_the_network_has_a_scale(page):
    most = page.evaluate("Math.max(...micrograd.run.parameters.map(Math.abs))")
    assert f"the strongest colour, is ±{most:.4f}. In" in page.inner_text("#network p.note")
    page.click("#step")
    page.check("[name=shows][value=grad]")
    most = page.evaluate("Math.max(...micrograd.run.gradients.map(Math.abs))")
    assert f"the strongest colour, is ±{most:.4f}. In" in page.inner_text("#network p.note")


def close(numbers):
    """Equal but for the last places of exp, log, tanh and pow: the page's are of another libm."""
    return pytest.approx(numbers, rel=4e-15, abs=0)


def test_the_graph_is_that_of_python(page):
    tab(page, "graph")
    page.click("#point-graph [data-label=stepEnd]")
    data = page.evaluate("micrograd.pointGraph().nodes.at(-1).data")
    grads = dict(page.evaluate("micrograd.pointGraph().nodes.map(n => [n.index, n.grad])"))
    rng = micrograd.RNG(42)
    (x, label), *_ = micrograd.gen_data(rng, n=100)[0]
    model = micrograd.MLP(2, [16, 3], rng=rng)
    loss = micrograd.cross_entropy(model([micrograd.Value(xi) for xi in x]), label)
    loss.backward()
    assert data == close(loss.data)
    parameters = model.parameters()
    assert [grads[k + 1] for k in range(len(parameters))] == close([p.grad for p in parameters])


def test_a_weight_under_the_pointer(page):
    enter(page, "hidden", "3")
    tab(page, "graph")
    page.click("#point-graph [data-label=zoomFit]")
    page.locator("#point-graph .weight").first.hover()
    assert page.locator("#point-network .hovered").count() == 1
    assert re.match(r"[wb]\d\[", page.inner_text("#point-network output"))


def test_three_neurons_and_back(page):
    tab(page, "graph")
    assert page.inner_text("#small") == "Use 3 neurons (starts anew)"
    page.click("#small")
    assert page.evaluate("micrograd.run.settings.hidden") == [3]
    assert page.inner_text("#small") == "Back to 16 (starts anew)"
    page.click("#small")
    assert page.evaluate("micrograd.run.settings.hidden") == [16]
    assert page.evaluate("micrograd.run.isCourse")


def test_nodes_and_weights_by_keys(page):
    tab(page, "graph")
    page.focus("#point-graph svg")
    page.keyboard.press("n")  # from the loss, as backward goes
    assert page.inner_text("#point-graph .detail").startswith("loss = ")
    page.keyboard.press("n")
    assert re.match(r"#\d+: data -1.0, grad ", page.inner_text("#point-graph .detail"))
    page.focus("#point-network svg")
    page.keyboard.press("ArrowRight")
    weight = page.evaluate("micrograd.run.parameters[0]")
    assert page.inner_text("#point-network output").startswith(f"w0[0,0]: data {weight!r}, grad ")


PROGRAMS = [
    "a = Value(2.0); b = Value(-3.0); c = (a*b + a**2).tanh()",
    """
a = Value(-4.0); b = Value(2.0)
c = a + b
d = a * b + b**3
c = c + c + 1
c = c + 1 + c + (-a)
d = d + d * 2 + (b + a).relu()
d = d + 3 * d + (b - a).relu()
e = c - d
f = e**2
g = f / 2.0
g = g + 10.0 / f
""",
    """
x = Value(0.5)
y = 2 - x  # a comment
z = (-x**2 + y**-1.5) * 3e-1 / y + 2**x
w = z.exp().log() - x.sigmoid()
""",
    "a = Value(2 * 3 - 1)\nb = a + a\nb = b * a",
    """
a = Value(2.0); b = Value(3.0); k = 2; k += 1
c = a; c += b; c -= a * b; c *= k + 1
d = b; d /= a; d **= k; d -= -c
""",
    "权重 = Value(2.0); ａ１ = 权重 * 3; 损失_1 = (a1 + 权重).tanh()",
]


@pytest.mark.parametrize(
    "program",
    [
        "Value(0.0).log()",
        "Value(-1.0).log()",
        "Value(-1.0).sqrt()",
        "Value(1e400).sin()",
        "Value(-1e400).cos()",
        "Value(1000.0).exp()",
        "Value(2.0) / 0",
        "Value(2.0) / Value(0.0)",
        "Value(0.0) ** -1",
        "Value(0.0) ** -0.5",
        "Value(0.0) ** Value(-2.0)",
        "Value(-2.0) ** 0.5",
        "(-2) ** Value(0.5)",
        "Value(10.0) ** 400",
    ],
)
def test_what_has_no_result_is_said_as_in_python(page, program):
    with pytest.raises((ArithmeticError, ValueError)) as problem:
        eval(program, {"Value": micrograd.Value})
    tab(page, "pad")
    write(page, program)
    assert page.inner_text("#pad-problem").split(": ", 1)[1] == str(problem.value)


@pytest.mark.parametrize(
    "program, said",
    [
        ("a = Value(1e400)", ["a.data is inf: too large for a float, as in Python"]),
        (
            "a = Value(2.0); b = (-2)**a",
            ["a.grad is nan, as in Python: the derivative of -2.0 ** b"],
        ),
        ("a = Value(1e400); b = a - a", ["a.data is inf", "b.data is nan, as in Python: the num"]),
        ("a = Value(2.0); b = 2**a", []),
    ],
)
def test_what_is_not_finite_is_said(page, program, said):
    tab(page, "pad")
    write(page, program)
    assert page.inner_text("#pad-problem") == ""
    lines = page.inner_text("#pad-odd").splitlines()
    assert len(lines) == len(said)
    assert all(line.startswith(begin) for line, begin in zip(lines, said))
    names = {"Value": micrograd.Value}
    exec(program, names)
    names["b" if "b" in names else "a"].backward()
    for name, (data, grad) in values(page).items():
        assert repr((data, grad)) == repr((names[name].data, names[name].grad))


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_pad_is_python(page, program):
    tab(page, "pad")
    write(page, program)
    assert page.inner_text("#pad-problem") == ""
    names = {"Value": micrograd.Value}
    exec(program, names)
    *_, last = names.values()
    last.backward()
    expected = {name: x for name, x in names.items() if isinstance(x, micrograd.Value)}
    shown = values(page)
    assert shown.keys() == expected.keys()
    is_exact = not re.search(r"\*\*|exp|log|tanh|sigmoid", program)
    for name, numbers in shown.items():
        of_python = [expected[name].data, expected[name].grad]
        assert numbers == (of_python if is_exact else close(of_python))


@pytest.mark.parametrize(
    "program, message",
    [
        ("a = ", "line 1, column 5: expected a number"),
        ("a = Value(1)\nb = a.foo()", "line 2, column 7: “foo” is no method"),
        ("a = Value(0)\n\nb = a.log()", "line 3, column 7: log(0.0): only positive numbers"),
        ("b = c + 1", "column 5: c has no value yet"),
        ("a = Value(2) $ 3", "column 14: “$” has no meaning"),
        ("tanh(2)", "there is no function tanh; write x.tanh()"),
        ("print(2)", "line 1, column 1: no print is needed: the table shows all"),
        ("log2(2)", "there is no function log2; there are Value(...), x.tanh(), "),
        ("x = Value(3); y = x^2", "column 20: “^” is no power; write **, such as x**2"),
        ("a, b = 1, 2", "column 2: one name a line: write a = 1; b = 2"),
        ("for k in range(3):", "column 1: no “for” here: there are no loops"),
        ("x = Value(1)\nimport math", "line 2, column 1: no “import” here"),
        ("def f(x):", "no “def” here"),
        ("a = Value(1)\nb = None = a", "line 2, column 5: no “None” here"),
        ("True = Value(1) * 2", "line 1, column 1: no “True” here"),
        ("a = 2", "column 5: 2 is a number and has no gradient: write Value(2)"),
        ("a = Value(2", "expected “)”"),
        ("a = 1 / 0", "1 / 0: division by zero"),
        ("a += 1", "column 1: a has no value yet"),
        ("a = Value(1); a =+= 1", "column 18: expected a number"),
        ("a = Value（2）", "column 10: “（” looks like “(” and is another character; write “(”"),
        ("a ＝ Value(2)", "column 3: “＝” looks like “=”"),
        ("a = Value(1)； b = a", "column 13: “；” looks like “;”"),
        ("a = Value(１)", "column 11: “１” looks like “1”"),
        ("a = Value(1)。tanh()", "column 13: “。” looks like “.”"),
        ("a = Value(1) × 2", "column 14: “×” looks like “*”"),
        ("a = Value(1).backward()", "backward() returns nothing"),
    ],
)
def test_wrong_programs(page, program, message):
    tab(page, "pad")
    write(page, program)
    assert message in page.inner_text("#pad-problem")
    write(page, "a = Value(1.5)")
    assert page.inner_text("#pad-problem") == "" and "1.5" in page.inner_text("#pad-values")


def write(page, program):
    """A program on the scratch pad, which has computed it when this returns."""
    page.fill("#pad-text", program)
    wait_until(page, "micrograd.padText() === document.getElementById('pad-text').value")


def values(page):
    """What the table of named values shows: numbers, each as Python writes it."""
    rows = page.eval_on_selector_all(
        "#pad-values tr", "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
    )
    numbers = {name: [float(text) for text in texts] for name, *texts in rows}
    assert [texts for _, *texts in rows] == [[*map(repr, pair)] for pair in numbers.values()]
    return numbers


def step_to(page, step):
    page.evaluate(f"micrograd.padGraph().goto({step})")


def test_rules_have_the_names_of_the_nodes(page):
    tab(page, "pad")
    write(page, "a = Value(3.0); b = Value(4.0); d = b / a; d.backward()")
    step_to(page, 2)
    rule = page.inner_text("#pad-graph .rule").splitlines()
    one_third = next(line for line in rule if "/∂b" in line)
    assert rule[0].startswith("d = b * #") and rule[1] == "d.grad = 1.0000"
    assert re.fullmatch(r"∂d/∂b = #\d+ = 0\.3333", one_third)
    assert any(re.fullmatch(r"∂d/∂#\d+ = b = 4\.0000", line) for line in rule)
    write(page, "out = Value(0.5); b = out + out; a = b.tanh()")
    step_to(page, 2)
    assert "∂a/∂b = 1 - a**2 = 1 - 0.7616**2 = 0.4200" in page.inner_text("#pad-graph .rule")
    step_to(page, 3)
    rule = page.inner_text("#pad-graph .rule")
    assert "∂b/∂out (1 of 2) = 1" in rule and "∂b/∂out (2 of 2) = 1" in rule


@pytest.mark.parametrize(
    "earlier, last",
    [
        ("a = Value(1.5); b = a + a; b.backward()", "b.backward()"),
        ("a = Value(2.0); b = a * a; c = b.relu() * a; c.backward()", "c.backward(); d = c * b"),
        ("a = Value(2.0); b = a * 3; e = a * 4; b.backward()", "c = b * a; c.backward()"),
    ],
)
def test_steps_of_the_last_of_several_passes(page, earlier, last):
    """They begin with what the passes before have left, and all names stay in the table."""

    def in_python(program):
        names = {}
        exec(program, {"Value": micrograd.Value}, names)
        return {name: x.data for name, x in names.items()}, {
            name: x.grad for name, x in names.items()
        }

    def on_page():
        shown = values(page).items()
        return {name: data for name, (data, _) in shown}, {name: grad for name, (_, grad) in shown}

    tab(page, "pad")
    write(page, f"{earlier}; {last}")
    data, grads = in_python(f"{earlier}; {last}")
    assert on_page() == (data, grads)
    step_to(page, 0)
    assert "Before the last backward()" in page.inner_text("#pad-graph .rule")
    assert on_page()[1] == {**dict.fromkeys(grads, 0), **in_python(earlier)[1]}
    for step in range(1, page.evaluate("micrograd.padGraph().steps.length") + 1):
        step_to(page, step)
    assert on_page() == (data, grads)


@pytest.mark.parametrize(
    "program",
    [
        "b = " + "+".join(["a"] * 5000),
        "b = " + "(" * 3000 + "a" + ")" * 3000,
        "b = " + "-" * 3000 + "a",
        "b = " + "a**" * 3000 + "a",
        "b = a" + ".tanh()" * 3000,
    ],
)
def test_expressions_too_deep(page, program):
    tab(page, "pad")
    write(page, "a = Value(0.5)\n" + program)
    assert "line 2, column" in page.inner_text("#pad-problem")
    assert "than 500 operations in one another" in page.inner_text("#pad-problem")
    write(page, "a = Value(0.5)\nb = " + "(" * 400 + "+".join(["a"] * 400) + ")" * 400)
    assert page.inner_text("#pad-problem") == "" and values(page)["b"] == [200, 1]


def test_graphs_too_large(page):
    tab(page, "pad")
    # on one line: Chromium takes half a minute to fill in so many
    write(page, "a = Value(0.5); " + "a = a + 1; " * 2500)
    assert "the graph has 5001 nodes" in page.inner_text("#pad-problem")


@pytest.mark.parametrize("wrong", ["a = ", "", "a = Value(0.0).log()"])
def test_what_is_shown_of_an_earlier_program_is_dimmed(page, wrong):
    is_dim = """() => [...document.querySelectorAll("#pad-graph, .values-box")]
        .map(box => box.inert && getComputedStyle(box).opacity < 0.5)"""
    tab(page, "pad")
    assert page.evaluate(is_dim) == [False, False]
    write(page, wrong)
    assert page.inner_text("#pad-problem") != "" and page.evaluate(is_dim) == [True, True]
    write(page, "a = Value(1.5)")
    assert page.evaluate(is_dim) == [False, False]


def test_only_edges_into_the_current_node_are_marked(page):
    tab(page, "pad")
    write(page, "a = Value(2.0); b = a * 3; c = (b + a).tanh(); d = c * a; d.backward()")
    ways = """() => {
        const graph = micrograd.padGraph(), node = graph.nodes[graph.current()];
        const [x, y] = graph.corners[graph.current()];
        const operands = new Set([node.a, node.b].filter(i => i));
        const paths = [...graph.svg.querySelectorAll(".edges g path")];
        return [operands.size, paths.map(path => path.getAttribute("d")), x, y + 24];
    }"""
    for step in range(2, page.evaluate("micrograd.padGraph().steps.length") + 1):
        step_to(page, step)
        operands, paths, x, y = page.evaluate(ways)
        assert len(paths) == operands
        for path in paths:  # one line, from bend to bend, and then into the node
            parts = re.findall(r"M([-\d.]+) ([-\d.]+).*?([-\d.]+) ([-\d.]+)H([-\d.]+)", path)
            ends = [(float(part[4]), float(part[3])) for part in parts]
            starts = [(float(part[0]), float(part[1])) for part in parts]
            assert ends[-1] == (x, y) and starts[1:] == ends[:-1]


def test_gradients_have_the_colour_of_their_sign(page):
    tab(page, "pad")
    write(page, "a = Value(2.0); b = Value(-3.0); c = Value(0.0); d = a * b + c * 0; d.backward()")
    colours = """() => {
        const graph = micrograd.padGraph();
        return Object.fromEntries(graph.nodes.map((node, k) =>
            [graph.name(node.index), getComputedStyle(graph.boxes[k].grad).fill]));
    }"""
    shown = page.evaluate(colours)
    blue, red = "rgb(43, 108, 217)", "rgb(214, 69, 61)"
    assert (shown["a"], shown["b"]) == (red, blue) and shown["c"] not in (red, blue)


# -----------------------------------------------------------------------------
# the GPT


def test_the_gpt_learns(page):
    gpt = module(ROOT / "examples" / "gpt.py")
    tab(page, "gpt")
    page.click("#gpt-step")
    assert "256 words, 4192 parameters" in page.inner_text("#gpt-now")
    rng = micrograd.RNG(42)
    words = gpt.read(ROOT / "examples" / "rivers.txt")
    words.sort(key=lambda _: rng.random())
    loss = gpt.GPT(rng).loss(words[0]).data
    assert f"mean loss {loss:.4f}" in page.inner_text("#gpt-now")

    page.click("#gpt-play")
    wait_until(page, "document.getElementById('gpt-now').innerText.match(/\\d+/)[0] > 1500")
    page.click("#gpt-play")
    assert float(page.inner_text("#gpt-now").split()[-1]) < 2.6
    page.click("#gpt-make")
    made = page.eval_on_selector_all("#gpt-made li", "items => items.map(item => item.innerText)")
    assert len(made) == 10 and all(re.fullmatch("[a-z]{0,15}|∅", word) for word in made)

    page.fill("#gpt-word", "ebro")
    page.locator("#gpt-letters label").nth(2).click()
    heights = page.eval_on_selector_all(
        "#gpt-next div", "bars => bars.map(bar => parseFloat(bar.title.slice(2)))"
    )
    rounded = 27 * 0.05  # 27 figures to 0.1
    assert len(heights) == 27 and sum(heights) == pytest.approx(100, abs=rounded)
    assert page.locator("#gpt-heads canvas").count() == 4
    assert "looks most at" in page.get_attribute("#gpt-heads canvas", "aria-label")


def test_words_of_ones_own(page):
    tab(page, "gpt")
    page.fill("#gpt-words", "ebro\nx1\n")
    page.click("#gpt-reset")
    assert "Line 2: “x1”" in page.inner_text("#gpt-problem")
    page.fill("#gpt-words", "abcdefghijklmno\na\n\nba\n")
    page.click("#gpt-reset")
    assert page.inner_text("#gpt-problem") == ""
    for _ in range(3):
        page.click("#gpt-step")
    assert "Step 3: 3 words" in page.inner_text("#gpt-now")


def test_nothing_is_learned_until_the_words_are_mended(page):
    tab(page, "gpt")
    page.click("#gpt-step")
    page.fill("#gpt-words", "ab" * 100)
    for button in ("step", "play", "step"):
        page.click(f"#gpt-{button}")
        problem = page.inner_text("#gpt-problem")
        assert problem.startswith("Line 1: “abababababababababab…” is not at most 15 letters")
        assert "Step 1: 256 words" in page.inner_text("#gpt-now")
    page.fill("#gpt-words", "ebro")
    page.click("#gpt-step")
    assert page.inner_text("#gpt-problem") == ""
    assert "Step 1: 1 word, " in page.inner_text("#gpt-now")
    page.fill("#gpt-seed", "x")
    page.click("#gpt-step")
    assert "A seed is" in page.inner_text("#gpt-problem")
    assert "Step 1: 1 word, " in page.inner_text("#gpt-now")


def test_a_word_of_other_letters(page):
    tab(page, "gpt")
    page.fill("#gpt-word", "é1")
    assert "at most 15 of them" in page.inner_text("#gpt-word-problem")
    page.fill("#gpt-word", "e")
    assert page.inner_text("#gpt-word-problem") == ""


# -----------------------------------------------------------------------------
# everybody


NAMES = set(  # that Chinese has, too
    """Adam AdamW Delete English README Shift Value backward beta data examples glibc grad logit
    loss micrograd musl relu sigmoid softmax sqrt tanh transformer""".split()
)


def test_the_language_is_remembered(page):
    assert page.inner_text("#tab-graph") == "Graph"
    page.click("#language")
    assert page.inner_text("#tab-graph") == "计算图"
    reload(page)
    assert page.inner_text("#tab-graph") == "计算图"
    assert page.evaluate("document.documentElement.lang") == "zh"
    words = set()
    for name in ("train", "graph", "pad", "gpt"):
        tab(page, name)
        words |= set(re.findall("[A-Za-z]{4,}", page.inner_text("body")))
    assert words <= NAMES


def test_back_leads_through_the_tabs(page):
    for name in ("graph", "pad", "pad"):
        tab(page, name)
    page.focus("#tab-pad")
    page.keyboard.press("ArrowRight")
    for name in ("pad", "graph", "train"):
        page.go_back()
        assert page.is_visible(f"#panel-{name}")
        assert page.get_attribute(f"#tab-{name}", "aria-selected") == "true"
    page.go_forward()
    assert page.is_visible("#panel-graph")


def test_what_a_visitor_made_is_kept(page):
    assert not page.is_visible("#kept")
    settings = {"seed": "7", "hidden": "4, 3", "lr": "0.05"}
    for name, text in settings.items():
        enter(page, name, text)
    page.select_option("#data", "circles")
    page.select_option("#optimizer", "adam")
    page.check("[name=tool][value='1']")
    page.mouse.click(*place(page, 1.9, -1.9))
    tab(page, "pad")
    write(page, "a = Value(7.5)")
    state = "[micrograd.run.settings, micrograd.run.points, micrograd.C.run_evaluate(0)]"
    before = page.evaluate(state)
    reload(page)
    assert page.evaluate(state) == before
    assert "7.5" in page.inner_text("#pad-values")
    assert page.input_value("#pad-example") == "own"
    page.select_option("#pad-example", "first")
    assert "loss" in page.inner_text("#pad-values")
    tab(page, "train")
    assert {name: page.input_value(f"#{name}") for name in settings} == settings
    assert page.is_visible("#kept")
    page.click("#course-settings")
    assert not page.is_visible("#kept") and page.evaluate("micrograd.run.isCourse")
    reload(page)
    assert page.evaluate("micrograd.run.isCourse") and not page.is_visible("#kept")
    tab(page, "pad")
    assert page.input_value("#pad-example") == "first"


@pytest.mark.parametrize(
    "name, text, of_course", [("lr", "0.05", "0.1"), ("hidden", "4", "16"), ("seed", "7", "42")]
)
def test_the_note_on_what_was_kept_goes(page, name, text, of_course):
    enter(page, name, text)
    assert not page.is_visible("#kept")
    reload(page)
    assert page.is_visible("#kept")
    enter(page, name, of_course)
    assert not page.is_visible("#kept")


@pytest.mark.parametrize(
    "kept",
    [
        "{",
        "null",
        "[]",
        '{"settings": null, "points": {}}',
        '{"settings": {"hidden": [0], "lr": -1, "data": "x", "points": 1e9}, "points": [{"x": 1}]}',
        '{"points": [{"x": 1e300, "y": 0, "label": 0}]}',
        '{"points": [{"x": "0", "y": 0, "label": 0}]}',
        '{"points": [{"x": 0, "y": 0, "label": 3}]}',
    ],
)
def test_what_was_kept_and_cannot_be_read(page, kept):
    page.evaluate(
        """kept => ["run", "pad", "pad-own", "gpt", "hidden", "language"].forEach(name => {
            localStorage.setItem(`micrograd-${name}`, kept);
        })""",
        kept,
    )
    reload(page)
    assert page.evaluate("micrograd.run.isCourse") and page.inner_text("#tab-graph") == "Graph"
    tab(page, "pad")
    assert "loss" in page.inner_text("#pad-values")


def test_a_browser_that_keeps_nothing(page):
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('refused'); } })"
    )
    reload(page)
    enter(page, "hidden", "3")
    page.click("#language")
    assert page.evaluate("micrograd.run.settings.hidden") == [3]
    assert page.inner_text("#tab-graph") == "计算图"


def test_the_losses_have_numbers_of_one_form(page):
    labels = page.evaluate("""() => {
        const labels = [], pen = CanvasRenderingContext2D.prototype, { fillText } = pen;
        pen.fillText = function (text, ...at) {
            labels.push(text);
            fillText.call(this, text, ...at);
        };
        Object.assign(micrograd.run, { step: 2, train: [100, 1e7], val: [100, 1e7] });
        document.getElementById("tab-train").click();
        return labels;
    }""")
    assert labels[:7] == ["1e2", "1e3", "1e4", "1e5", "1e6", "1e7", "0"]


def test_one_numbering(page):
    assert page.inner_text("#losses-now").startswith("No step yet · accuracy now: train ")
    for k in range(3):
        page.click("#step")
        line, loss = page.evaluate("[micrograd.run.lines.at(-1), micrograd.run.train.at(-1)]")
        assert line.startswith(f"step {k}, train loss")
        now = page.inner_text("#losses-now")
        assert now.startswith(f"Steps done: {k + 1}; step {k}: train loss {loss:.4f}, val loss ")


@pytest.mark.parametrize("width", [1400, 1000, 700, 400])
def test_nothing_jumps(page, width):
    """Neither the tabs from part to part, nor what is below the controls while it trains."""
    page.set_viewport_size({"width": width, "height": 800})
    for _ in range(2):
        tops = set()
        for name in ("train", "graph", "pad", "gpt"):
            tab(page, name)
            tops.add(str([page.locator(x).bounding_box() for x in ("#tab-gpt", "#language")]))
        assert len(tops) == 1
        tab(page, "train")
        top = page.locator("#surface").bounding_box()
        page.click("#step")
        train(page)
        assert page.locator("#surface").bounding_box() == top
        page.click("#reset")
        page.click("#language")


def test_words_are_explained(page):
    for _ in range(2):
        for name, n in (("train", 13), ("graph", 9), ("gpt", 8)):
            tab(page, name)
            page.click(f"#panel-{name} .words summary")
            said = page.locator(f"#panel-{name} .words").inner_text()
            assert len(said.split("\n")) >= 1 + 2 * n and "{" not in said
            assert page.locator(f"#panel-{name} .words dd:visible").count() == n
            page.click(f"#panel-{name} .words summary")
        assert page.is_visible("[data-text=gptKnown]")
        page.click("#language")


def swipe(phone, x, y, dx, dy):
    """A finger from (x, y), as the browser itself takes it: it scrolls where it may."""
    touch = phone.context.new_cdp_session(phone)

    def send(kind, *points):
        at = [{"x": x, "y": y} for x, y in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    send("touchStart", (x, y))
    for k in range(1, 11):
        send("touchMove", (x + dx * k / 10, y + dy * k / 10))
        phone.wait_for_timeout(20)
    send("touchEnd")
    y = None
    while y != (y := phone.evaluate("scrollY")):  # until it has stopped
        phone.wait_for_timeout(200)


def test_a_finger_scrolls_or_drags(phone):
    phone.check("[name=tool][value='1']")
    n = phone.evaluate("micrograd.run.points.length")
    swipe(phone, *place(phone, 1.9, -1.9), 0, -200)
    assert phone.evaluate("scrollY") > 100
    assert phone.evaluate("micrograd.run.points.length") == n
    phone.evaluate("scrollTo(0, 0)")
    x, y = phone.evaluate("[micrograd.run.points[0].x, micrograd.run.points[0].y]")
    (x0, y0), (x1, y1) = place(phone, x, y), place(phone, 1.5, -1.5)
    swipe(phone, x0, y0, x1 - x0, y1 - y0)
    assert phone.evaluate("scrollY") == 0
    moved = phone.evaluate("[micrograd.run.points[0].x, micrograd.run.points[0].y]")
    assert moved == near(1.5, -1.5)
    phone.touchscreen.tap(*place(phone, 1.9, -1.9))
    assert phone.evaluate("micrograd.run.points.length") == n + 1


def test_a_finger_beside_a_point_scrolls(phone):
    places = phone.evaluate("micrograd.run.points.map(({ x, y }) => [x, y])")
    grid = [(x / 10, y / 10) for x in range(-18, 19) for y in range(-18, -5)]
    pixels = phone.locator("#points-layer").bounding_box()["width"] / 4.4

    def away(at):
        return pixels * min(math.dist(at, point) for point in places)

    beside = next(at for at in grid if 15 < away(at) < 20)
    swipe(phone, *place(phone, *beside), 0, -200)
    assert phone.evaluate("scrollY") > 100
    assert phone.evaluate("micrograd.run.points.map(({ x, y }) => [x, y])") == places


def test_a_phone_speaks_of_fingers(phone):
    for words in (["Keys", "keys", "Point at", "click"], ["按键", "方向键", "指向", "点击"]):
        for name in ("train", "graph", "pad"):
            tab(phone, name)
            hints = phone.locator(
                f"#panel-{name} :is(.note, .tools legend):visible"
            ).all_inner_texts()
            assert hints and not [word for word in words if word in " ".join(hints)]
        phone.click("#language")
    tab(phone, "train")
    assert not phone.is_visible("#seed")
    assert phone.locator(".settings summary").first.bounding_box()["y"] < 400
    phone.click(".settings > summary")
    assert phone.is_visible("#seed")


def test_tabs_by_keys(page):
    page.focus("#tab-train")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#panel-graph") and not page.is_visible("#panel-train")
    page.keyboard.press("End")
    assert page.is_visible("#panel-gpt")
    assert page.evaluate("document.activeElement.id") == "tab-gpt"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_on_a_phone(page, scheme):
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": 400, "height": 800})
    for name in ("train", "graph", "pad", "gpt"):
        tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, name


def test_everything_has_a_name(page):
    """Each button, field and picture says what it is, to those who cannot see it."""
    for name in ("train", "graph", "pad", "gpt"):
        tab(page, name)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll(
                    "button, input, select, textarea, [role=img], [tabindex='0']")]
                .filter(x => x.offsetParent !== null || x.ownerSVGElement === null)
                .filter(x => !x.closest("[hidden]"))
                .filter(x => !(x.innerText?.trim() || x.ariaLabel || x.labels?.length
                    || x.getAttribute("aria-labelledby") || x.querySelector?.("title")))
                .map(x => x.outerHTML.slice(0, 80))"""
        )
        assert nameless == [], name


# -----------------------------------------------------------------------------
# what somebody who was sent the page without a word has to see


def test_the_graph_pauses_the_training(page):
    tab(page, "graph")
    assert not page.is_visible("#graph-paused")
    tab(page, "train")
    page.fill("#speed", "0")
    page.click("#play")
    assert page.inner_text("#speed-now") == "1 step/s"
    tab(page, "graph")
    assert page.is_visible("#graph-paused")
    page.click("#point-graph [data-label=stepForward]")
    page.wait_for_timeout(1300)  # in which a step of training would be due
    assert page.inner_text("#point-graph .count").startswith("1 / ")
    tab(page, "train")
    assert page.inner_text("#play").startswith("▶")
    tab(page, "graph")
    assert not page.is_visible("#graph-paused")


def test_a_pause_is_answered_at_full_speed(page):
    page.fill("#speed", "5")
    page.evaluate("""() => {
        window.frames = [];
        const frame = now => frames.push(now) && requestAnimationFrame(frame);
        requestAnimationFrame(frame);
    }""")
    page.click("#play")
    page.wait_for_timeout(2000)
    step = page.evaluate("micrograd.run.step")
    pictures = "document.getElementById('losses-now').innerText"
    page.click("#play")
    assert page.inner_text("#play").startswith("▶") and step > 100
    gaps = page.evaluate("frames.slice(1).map((now, k) => now - frames[k]).sort((a, b) => a - b)")
    assert gaps[len(gaps) // 2] < 40  # most frames only take steps
    assert f"Steps done: {page.evaluate('micrograd.run.step')};" in page.evaluate(pictures)


def in_view(page, what):
    """Is all of a graph's box seen?"""
    script = """what => {
        const box = document.querySelector(what).getBoundingClientRect();
        const graph = document.querySelector(what).closest(".graph").getBoundingClientRect();
        return box.left >= graph.left - 1 && box.right <= graph.right + 1
            && box.top >= graph.top - 1 && box.bottom <= graph.bottom + 1;
    }"""
    return page.evaluate(script, what)


def test_the_step_that_is_shown_is_in_view(page):
    tab(page, "graph")
    away = "const g = micrograd.pointGraph(); g.box[0] = -300; g.box[1] = 0; g.look();"
    for action in (
        lambda: page.click("#point-after"),
        lambda: page.click("#point-graph [data-label=stepStart]"),
        lambda: page.click("#point-graph [data-label=stepForward]"),
        lambda: page.click("#point-graph [data-label=stepStart]"),
    ):
        page.evaluate(away)
        assert not in_view(page, "#point-graph .current")
        action()
        assert in_view(page, "#point-graph .current")


def test_the_graph_can_neither_be_lost_nor_filled_by_a_node(page):
    tab(page, "pad")
    for dx, dy in ((1e5, 0), (-1e5, 1e5), (0, -1e5)):
        page.evaluate(f"micrograd.padGraph().pan({dx}, {dy})")
        x, y, w, h, width, height = page.evaluate(
            "[...micrograd.padGraph().box, ...micrograd.padGraph().size]"
        )
        assert 0 <= x + w / 2 <= width and 0 <= y + h / 2 <= height
    page.evaluate("for (let k = 0; k < 99; k++) micrograd.padGraph().zoom(1.3)")
    assert (
        page.evaluate("micrograd.padGraph().box[2] / micrograd.padGraph().svg.clientWidth") == 0.4
    )
    page.evaluate("for (let k = 0; k < 99; k++) micrograd.padGraph().zoom(1 / 1.3)")
    width = page.locator("#pad-graph .node").first.bounding_box()["width"]
    assert width > 60  # of 108


@pytest.mark.parametrize("width", [400, 1400])
def test_a_small_graph_is_seen_wholly(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    tab(page, "pad")
    n = page.evaluate("micrograd.padGraph().n")
    assert n == 6
    assert all(in_view(page, f"#pad-graph [data-node='{k}']") for k in range(n))
    write(page, "a = Value(1.01); b = a" + " * a" * 50)
    assert in_view(page, "#pad-graph [data-node='50']")  # the result
    assert not in_view(page, "#pad-graph [data-node='0']")
    fit = page.locator("#pad-graph [data-label=zoomFit]")
    assert fit.inner_text() == "Fit"
    fit.click()
    assert in_view(page, "#pad-graph [data-node='0']")


def test_what_has_changed_has_a_colour_of_its_own(page):
    tab(page, "pad")
    step_to(page, 2)
    strokes = page.evaluate("""() => {
        const graph = document.querySelector("#pad-graph");
        const shown = what => getComputedStyle(graph.querySelector(what)).stroke;
        return [shown(".changed rect"), shown(".edges g path")];
    }""")
    assert strokes == ["rgb(142, 59, 184)"] * 2  # neither --plus nor --minus


def test_the_graph_plays_five_steps_a_second_and_does_not_jump(page):
    tab(page, "graph")
    page.click("#point-graph [data-label=stepPlay]")
    page.wait_for_timeout(2100)
    page.click("#point-graph [data-label=stepPlay]")
    assert int(page.inner_text("#point-graph .count").split()[0]) >= 6
    tab(page, "pad")
    top = page.locator("#pad-graph svg").bounding_box()["y"]
    page.evaluate("micrograd.padGraph().rule.textContent = 'x\\n'.repeat(30)")
    assert page.locator("#pad-graph svg").bounding_box()["y"] == top


def test_the_point_with_the_largest_loss(page):
    train(page)
    tab(page, "graph")
    assert "The loss is almost 0" in page.inner_text("#point-flat")
    root = "micrograd.pointGraph().nodes.at(-1).data"
    script = "micrograd.run.points.map(p => micrograd.C.run_point_loss(p.x, p.y, p.label))"
    losses = page.evaluate(script)
    assert page.evaluate(root) == losses[0]
    page.click("#point-worst")
    assert page.inner_text("#point-now").startswith(f"Point {losses.index(max(losses))} at")
    assert page.evaluate(root) == max(losses)
    tab(page, "train")
    page.select_option("#optimizer", "sgd")
    enter(page, "lr", "1e6")
    page.click("#reset")
    page.click("#step")
    assert any(map(math.isnan, page.evaluate(script)))  # what has no result is the largest
    tab(page, "graph")
    page.click("#point-worst")
    assert page.inner_text("#point-now").startswith("log(0.0): only positive numbers")
    page.evaluate("micrograd.run.points.length = 0")
    page.click("#point-after")
    assert page.is_disabled("#point-worst") and page.inner_text("#point-flat") == ""


def test_three_neurons_ask_before_training_is_lost(page):
    asked = []

    def answer(dialog):
        asked.append(dialog.message)
        if len(asked) == 1:
            dialog.dismiss()
        else:
            dialog.accept()

    page.on("dialog", answer)
    enter(page, "hidden", "8, 4")
    train(page)
    tab(page, "graph")
    page.click("#small")
    assert page.evaluate("[micrograd.run.settings.hidden, micrograd.run.step]") == [[8, 4], 100]
    page.click("#small")
    assert page.evaluate("[micrograd.run.settings.hidden, micrograd.run.step]") == [[3], 0]
    assert asked == ["The training of 100 steps will be lost: the network starts anew."] * 2
    reload(page)
    assert page.inner_text("#small") == "Back to 8, 4 (starts anew)"
    page.click("#small")
    assert page.evaluate("micrograd.run.settings.hidden") == [8, 4]
    page.click("#small")
    page.evaluate("localStorage.setItem('micrograd-hidden', '[0, \"x\"]')")
    reload(page)
    assert page.inner_text("#small") == "Back to 16 (starts anew)"


def test_how_many_points_there_are_for_what(page):
    hint = "80 train, 10 validate, 10 kept for a test"
    assert page.inner_text("#points-hint") == hint
    assert "With 10 points to validate, val says little: each is 10 %" in page.inner_text(
        "#val-few"
    )
    page.check("[name=tool][value='1']")
    page.keyboard.down("Shift")
    page.mouse.click(*place(page, 1.9, -1.9))
    page.keyboard.up("Shift")
    assert page.evaluate("micrograd.run.points.at(-1).isVal")
    assert page.inner_text("#live") == "Added: class 1. Now 80 train, 11 validate."
    page.mouse.click(*place(page, 2.1, -1.5))
    assert not page.evaluate("micrograd.run.points.at(-1).isVal")
    assert page.inner_text("#points-hint") == "81 train, 11 validate, 10 kept for a test"
    page.focus("#points-layer")
    page.keyboard.press("Delete")
    assert page.inner_text("#live") == "Removed. Now 80 train, 11 validate."
    enter(page, "points", "300")
    assert page.inner_text("#points-hint") == "240 train, 30 validate, 30 kept for a test"
    assert page.inner_text("#val-few") == ""


def test_which_value_is_in_use(page):
    enter(page, "hidden", "8, 4")
    for name, text, used in (("hidden", "99", "8, 4"), ("lr", "abc", "0.1")):
        enter(page, name, text)
        assert page.inner_text("#setting-problem").endswith(f"In use: {used}.")
        enter(page, name, used)
        assert page.inner_text("#setting-problem") == ""
    tab(page, "gpt")
    enter(page, "gpt-rate", "-1")
    assert page.inner_text("#gpt-rate-problem").endswith("above 0. In use: 0.02.")
    enter(page, "gpt-rate", "0.01")
    assert page.inner_text("#gpt-rate-problem") == ""


def test_words_and_rate_are_kept_and_start_anew(page):
    tab(page, "gpt")
    rivers = page.input_value("#gpt-words")
    page.click("#gpt-step")
    page.fill("#gpt-words", "ebro\nelbe")
    page.focus("#gpt-word")
    assert page.inner_text("#gpt-anew") == "The training has started anew."
    assert "Step 0: 2 words" in page.inner_text("#gpt-now")
    reload(page)
    assert page.input_value("#gpt-words") == "ebro\nelbe"
    enter(page, "gpt-rate", "0.01")
    reload(page)
    assert page.input_value("#gpt-rate") == "0.01"
    page.click("#gpt-step")
    assert "Step 1: 2 words" in page.inner_text("#gpt-now")
    page.click("#gpt-rivers")
    assert page.input_value("#gpt-words") == rivers
    assert "Step 0: 256 words" in page.inner_text("#gpt-now")
    page.click("#gpt-reset")
    assert page.inner_text("#gpt-anew") == ""


def test_a_rate_with_which_the_gpt_breaks_down(page):
    tab(page, "gpt")
    enter(page, "gpt-rate", "1e300")
    page.click("#gpt-play")
    wait_until(page, "document.getElementById('gpt-problem').innerText !== ''")
    said = page.inner_text("#gpt-problem")
    assert "the learning rate is too large: take a smaller one and press Reset" in said


def test_a_program_of_ones_own_comes_back(page):
    tab(page, "pad")
    assert page.locator("#pad-example option[value=own]").get_attribute("hidden") is not None
    write(page, "mine = Value(7.5)")
    page.select_option("#pad-example", "chain")
    assert "mine" not in page.inner_text("#pad-values")
    reload(page)
    page.select_option("#pad-example", "own")
    assert page.input_value("#pad-text") == "mine = Value(7.5)"
    assert "7.5" in page.inner_text("#pad-values")


def test_an_error_of_an_earlier_pass_is_gone(page):
    tab(page, "pad")
    write(page, "a = Value(0.0); b = a.sqrt()")
    assert "sqrt(0.0) has no derivative" in page.inner_text("#pad-graph .rule")
    write(page, "a = Value(4.0); b = a.sqrt()")
    assert page.inner_text("#pad-graph .rule").startswith("backward() is done.")


def test_backward_that_was_not_written(page):
    tab(page, "pad")
    assert page.inner_text("#pad-called") == ""
    write(page, "a = Value(3.0); b = a * a")
    assert page.inner_text("#pad-called") == "backward() of the last Value, b, was called for you."
    write(page, "a = Value(3.0); b = a * a; b.backward()")
    assert page.inner_text("#pad-called") == ""


def test_long_names(page):
    tab(page, "pad")
    name = "a_very_" * 10 + "long_name"
    write(page, f"{name} = Value(123456.789); b = {name} * 2; b.backward()")
    box = page.evaluate("""() => {
        const box = document.querySelector(".values-box");
        return [box.scrollWidth, box.clientWidth];
    }""")
    assert box[0] <= box[1]
    assert page.get_attribute("#pad-values th", "title") == name
    assert page.text_content("#pad-graph .name") == "a_very_a_very_a…"
    page.locator("#pad-graph .node").first.hover()
    assert page.inner_text("#pad-graph .detail").startswith(f"{name}: data ")


def test_chinese_has_no_english_left_over(page):
    page.click("#language")
    assert page.title().startswith("micrograd：")
    page.click("#step")
    assert "第 0 步：" in page.inner_text("#losses-now")
    assert "step" not in page.inner_text("#losses-now")
    tab(page, "pad")
    write(page, "a = Value(0.0).log()")
    assert page.inner_text("#pad-problem").startswith("第 1 行第 16 列：")
    write(page, "a = Value(2.0); b = a * 3")
    step_to(page, 2)
    page.locator("#pad-graph .node").first.hover()
    for text in ("#pad-graph .rule", "#pad-graph .detail"):
        assert ": " not in page.inner_text(text) and "：" in page.inner_text(text)
    page.click("#language")
    assert page.title().startswith("micrograd: ")


def test_what_has_been_said_follows_the_language(page):
    page.check("[name=tool][value='1']")
    page.mouse.click(*place(page, 1.9, -1.9))
    page.select_option("#optimizer", "sgd")
    enter(page, "lr", "1e305")
    page.click("#hundred")
    wait_until(page, "micrograd.run.problem !== null")
    enter(page, "seed", "x")
    tab(page, "pad")
    write(page, "a = Value(-1.0).log()")
    tab(page, "gpt")
    page.click("#gpt-step")
    page.fill("#gpt-words", "ebro")
    enter(page, "gpt-rate", "1e300")
    page.click("#gpt-play")
    wait_until(page, "document.getElementById('gpt-problem').innerText !== ''")
    enter(page, "gpt-rate", "-1")
    begins = {
        "problem": ("It has stopped: ", "已停止："),
        "live": ("Added: class 1.", "已添加：类别 1。"),
        "setting-problem": ("A seed is", "种子是"),
        "pad-problem": ("line 1, column 17: log(-1.0): only", "第 1 行第 17 列：log(-1.0)：只有"),
        "gpt-problem": ("", ""),
        "gpt-rate-problem": ("The learning rate is", "学习率是"),
        "gpt-anew": ("The training has", "训练已重新开始。"),
    }

    def said():
        return {name: page.text_content(f"#{name}") for name in begins}

    english = said()
    page.click("#language")
    chinese = said()
    for name, (in_english, in_chinese) in begins.items():
        assert english[name].startswith(in_english) and chinese[name].startswith(in_chinese)
        assert set(re.findall("[A-Za-z]{4,}", chinese[name])) <= NAMES, name
    page.click("#language")
    assert said() == english


@pytest.mark.parametrize("width", [320, 2200])
def test_very_narrow_and_very_wide(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    for name in ("train", "graph", "pad", "gpt"):
        tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    tab(page, "train")
    left = "what => document.querySelector(what).getBoundingClientRect().left"
    assert page.evaluate(left, "h1") == page.evaluate(left, "#play")


def test_the_course_is_explained(page):
    said = page.inner_text("[data-text=courseWhat]")
    assert "LLM101n" in said and "Digits that differ are no error" in said
