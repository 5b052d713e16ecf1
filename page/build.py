"""Build docs/micrograd.html, the page that runs micrograd in the browser, as one file.

    pip install ziglang && python page/build.py

The C library and the page's own C become WebAssembly, and everything that index.html refers to is
put into it. `--check` only says whether the page in docs/ was built from the present sources.
"""

import argparse
import base64
import gzip
import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).resolve().parent
ROOT = PAGE.parent
OUTPUT = ROOT / "docs" / "micrograd.html"

# what the page is made of, in a fixed order
C_FILES = [
    *sorted(path for path in (ROOT / "csrc").glob("*.c") if path.name != "main.c"),
    *sorted(PAGE.glob("*.c")),
]
OTHERS = [
    *sorted((ROOT / "csrc").glob("*.h")),
    *sorted(
        path for path in PAGE.iterdir() if path.suffix in (".h", ".js", ".css", ".html", ".py")
    ),
    ROOT / "csrc" / "cflags",
    ROOT / "tests" / "golden" / "course-run.txt",
    ROOT / "examples" / "rivers.txt",
]


def text(path):
    return path.read_text(encoding="utf-8")


def digest():
    """The SHA-256 of all sources, which stands in the page that is built from them."""
    sha = hashlib.sha256()
    for path in [*C_FILES, *OTHERS]:
        sha.update(f"{path.relative_to(ROOT).as_posix()}\n{text(path)}\n".encode())
    return sha.hexdigest()


def compile_c(output, *options, sources=C_FILES):
    """Compile for the browser. cflags has what keeps the bits the same as everywhere."""
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-wasi"]
    command += [*text(ROOT / "csrc" / "cflags").split(), f"-I{ROOT / 'csrc'}", *options]
    subprocess.run([*command, "-o", output, *sources, "-lm"], check=True)


def engine():
    """The engine, without an entry: its exports are what page.h declares."""
    reactor = ["-mexec-model=reactor", "-fvisibility=hidden", "-Wl,--export-dynamic,--strip-all"]
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "engine.wasm"
        compile_c(output, *reactor, *warnings)
        return output.read_bytes()


IMPORT = re.compile(r'^import (\{.*?\}) from "\./(\w+)\.js";\n', re.M)
EXPORT = re.compile(r"^export (?:async )?(?:const|class|function) ([\w$]+)", re.M)


def bundle(name, done=None):
    """A module after all that it imports: each becomes a function that returns its exports."""
    done = set() if done is None else done
    if name in done:
        return ""
    done.add(name)
    source = text(PAGE / f"{name}.js")
    imported = "".join(bundle(other, done) for _, other in IMPORT.findall(source))
    exports = ", ".join(EXPORT.findall(source))
    own = re.sub(r"^export ", "", IMPORT.sub(r"const \1 = from_\2;\n", source), flags=re.M)
    function = f"(() => {{ // {name}.js\n{own}return {{ {exports} }};\n}})()"
    return f"{imported}\nconst from_{name} = {function};\n"


def build():
    """Return the page."""
    page = text(PAGE / "index.html")
    style, script = text(PAGE / "style.css"), bundle("main")

    def put(old, new):
        nonlocal page
        assert page.count(old) == 1, old
        page = page.replace(old, new)

    put('<link rel="stylesheet" href="style.css">', f"<style>\n{style}</style>")
    put('<script type="module" src="main.js">', f'<script type="module">{script}')
    put(' src="engine.wasm">', ">" + base64.b64encode(gzip.compress(engine(), mtime=0)).decode())
    for path in ("../tests/golden/course-run.txt", "../examples/rivers.txt"):
        put(f' src="{path}">', ">" + text(PAGE / path))
    put("<title>", f'<meta name="sources" content="{digest()}">\n<title>')
    return page


def is_current():
    """Was the page in docs/ built from these sources?"""
    return f'<meta name="sources" content="{digest()}">' in text(OUTPUT)


def main():
    parser = argparse.ArgumentParser(description="Build docs/micrograd.html.")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    if parser.parse_args().check:
        sys.exit(None if is_current() else "docs/micrograd.html is older than its sources")
    page = build()
    OUTPUT.write_text(page, encoding="utf-8", newline="\n")
    print(f"{OUTPUT.relative_to(ROOT)}: {len(page.encode()) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
