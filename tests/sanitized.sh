#!/usr/bin/env bash
# All Python tests, the slow ones too, over a compiled module that is built with the address,
# leak and undefined-behaviour sanitizers:
#
#     tests/sanitized.sh [options of pytest, such as -x or -k]
#
# It needs what the tests need, and gcc as cc for its sanitizers. Python itself gives little of
# its memory back when it ends. So of the leaks that are found then only those count that a
# function of csrc/ is part of.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT

# not in the sources' own folder: objects that are there, compiled without the sanitizers, would do
mkdir "$built/source"
cp -r "$root"/csrc "$root"/micrograd "$root"/[!.]*.{py,toml,md,in} "$root"/LICENSE "$built/source"
CFLAGS="-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer" \
    MICROGRAD_REQUIRE_C=1 python -m pip install --quiet --no-deps --target "$built/lib" "$built/source"
if ! grep -q __asan_init "$built"/lib/_micrograd*; then
    echo "the compiled module is not built with the sanitizers"
    exit 1
fi

others=(
    # they measure memory, of which the sanitizers take much more
    --deselect tests/test_soak.py
    --deselect tests/test_handles.py::test_memory_of_training_steps_is_given_back
    --deselect tests/test_handles.py::test_five_million_additions_in_700_megabytes
    --deselect tests/test_handles.py::test_64_bytes_a_node
    --deselect tests/test_handles.py::test_kept_orders_take_little
    # they run, in programs of their own, what the other tests run
    --deselect tests/test_bench.py
    --deselect tests/test_example_gpt.py
    # they limit it, or put another malloc in the sanitizers' place
    --deselect tests/test_memory.py
)
status=0
cd "$built/lib"  # away from the sources, beside which another compiled module may be
LD_PRELOAD="$(cc -print-file-name=libasan.so) $(cc -print-file-name=libubsan.so)" \
    PYTHONMALLOC=malloc ASAN_OPTIONS="log_path=$built/report:allocator_may_return_null=1" \
    LSAN_OPTIONS="exitcode=0" \
    python -m pytest -q -p no:cacheprovider -c "$root/pyproject.toml" --rootdir "$root" \
    -m "slow or not slow" \
    "${others[@]}" "$@" "$root/tests" || status=$?

# an error, or a leak with one of our functions in its story
found=$(cat "$built"/report.* 2>/dev/null |
    awk -v RS= '/ERROR: AddressSanitizer|runtime error/ || (/leak of/ && /csrc\/[a-z_\/]+\.c/)')
if [ -n "$found" ]; then
    printf '%s\n' "$found"
    exit 1
fi
exit "$status"
