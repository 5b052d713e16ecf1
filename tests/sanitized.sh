#!/usr/bin/env bash
# All Python tests, the slow ones too, over a compiled module that is built with the address,
# leak and undefined-behaviour sanitizers:
#
#     tests/sanitized.sh [options of pytest, such as -x or -k]
#
# Tests that cannot run there are marked `unsanitized`: they measure memory, of which the sanitizers
# take much more, or limit it, or run what other tests run in programs of their own.
#
# It needs what the tests need, and gcc as cc for its sanitizers. Python itself gives little of
# its memory back when it ends. So of the leaks that are found then only those count that a
# function of csrc/ is part of.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
name=$(sed -n 's/^packages = \["\([a-z0-9_]*\)".*/\1/p' "$root/pyproject.toml")

built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT

# not in the sources' own folder: objects that are there, compiled without the sanitizers, would do
mkdir "$built/source"
shopt -s nullglob
cp -rL "$root"/csrc "$root/$name" "$root"/[!.]*.{py,toml,md,in} "$root"/LICENSE* "$built/source"
CFLAGS="-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer" \
    env "${name^^}_REQUIRE_C=1" python -m pip install --quiet --no-deps --target "$built/lib" "$built/source"
if ! grep -q __asan_init "$built"/lib/_"$name"*; then
    echo "the compiled module is not built with the sanitizers"
    exit 1
fi

status=0
cd "$built/lib"  # away from the sources, beside which another compiled module may be
LD_PRELOAD="$(cc -print-file-name=libasan.so) $(cc -print-file-name=libubsan.so)" \
    PYTHONMALLOC=malloc ASAN_OPTIONS="log_path=$built/report:allocator_may_return_null=1" \
    LSAN_OPTIONS="exitcode=0" \
    python -m pytest -q -p no:cacheprovider -c "$root/pyproject.toml" --rootdir "$root" \
    -m "not unsanitized" "$@" "$root/tests" || status=$?

# an error, or a leak with one of our functions in its story
found=$(cat "$built"/report.* 2>/dev/null |
    awk -v RS= '/ERROR: AddressSanitizer|runtime error/ || (/leak of/ && /csrc\/[a-z_\/]+\.c/)')
if [ -n "$found" ]; then
    printf '%s\n' "$found"
    exit 1
fi
exit "$status"
