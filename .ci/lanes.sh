# What .ci/run has in every project of this shape: lanes of jobs that run at once, each lane in a
# copy of the tree of its own. A job that fails shows its log; the other jobs still run.

name=$(sed -n 's/^packages = \["\([a-z0-9_]*\)".*/\1/p' pyproject.toml)

step() { printf '\n=== %s (%s)\n' "$*" "$(date +%T)"; }

# Run jobs one after the other in a copy of the tree: lane NAME JOB...
lane() {
    local copy=$work/$1 job start status=0
    shift
    mkdir "$copy"
    tar -c --exclude=./.git --exclude=./.nox --exclude=build \
        --exclude='*.so' --exclude='*.o' --exclude='*.egg-info' --exclude=__pycache__ . | tar -x -C "$copy"
    for job; do
        start=$SECONDS
        (cd "$copy" && "$job") >"$work/$job.log" 2>&1 &
        if wait $!; then
            printf -- '--- %s: passed in %d s\n%s\n' "$job" $((SECONDS - start)) "$(tail -n 2 "$work/$job.log")"
        else
            printf -- '--- %s: FAILED\n%s\n' "$job" "$(cat "$work/$job.log")"
            status=1
        fi
    done
    return $status
}

# Wait for these lanes, and fail if one of them has failed.
all_of() {
    local process status=0
    for process; do wait "$process" || status=1; done
    return $status
}

# Note the Debian packages to install if a command is not there: need COMMAND PACKAGE...
missing=()
need() { command -v "$1" >/dev/null || missing+=("${@:2}"); }

install_missing() {
    [ ${#missing[@]} -gt 0 ] || return 0
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >/dev/null
}

# A virtual environment in $work, which is removed at the end.
fresh_environment() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    python3 -m venv "$work/venv"
    export PATH="$work/venv/bin:$PATH"
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    python -m pip install --quiet --upgrade pip
    pip install --quiet nox build
}

# -----------------------------------------------------------------------------
# jobs

c_tests() {
    make -C csrc CFLAGS=-Werror
    make -C csrc test memory CFLAGS=-Werror
}

lint() { nox -s lint; }
types() { nox -s types; }
oldest() { nox --no-error-on-missing-interpreters -s tests-3.9; }
newest() { nox --no-error-on-missing-interpreters -s tests-3.13; }
pypy() { nox --no-error-on-missing-interpreters -s pypy; }
sanitized() { nox -s sanitized; }
valgrind_() { make -C csrc valgrind CFLAGS=-Werror; }

packages() {
    env "${name^^}_REQUIRE_C=1" python -m build --outdir dist
    check_packages
}

# The wheel, built from the sdist, has the package and the compiled module and nothing else.
check_packages() {
    python - "$name" <<'PYTHON'
import re
import sys
import tarfile
import zipfile
from pathlib import Path

[wheel], [sdist] = Path("dist").glob("*.whl"), Path("dist").glob("*.tar.gz")

name = sys.argv[1]
sources = {str(p) for p in Path(name).rglob("*") if p.is_file() and p.suffix != ".pyc"}
own = rf"_{name}\.[\w.-]+|[^/]+\.dist-info/.*"  # what setuptools adds
found = {name for name in zipfile.ZipFile(wheel).namelist() if not re.fullmatch(own, name)}
problems = [f"not in the wheel: {name}" for name in sorted(sources - found)]
problems += [f"not expected in the wheel: {name}" for name in sorted(found - sources)]

folders = "bench", "csrc", "docs", "examples", name, "tests"
kinds = ".py", ".pyi", ".c", ".h", ".md", ".sh", ".typed", ".txt"
sources = {str(p) for f in folders for p in Path(f).rglob("*") if p.suffix in kinds}
sources |= {str(p) for p in Path().glob("*.md")}
found = {name.partition("/")[2] for name in tarfile.open(sdist).getnames()}
problems += [f"not in the sdist: {name}" for name in sorted(sources - found)]
print(f"{wheel.name}: {len(zipfile.ZipFile(wheel).namelist())} files; {sdist.name}: {len(found)}")
sys.exit("\n".join(problems) or None)
PYTHON
}
