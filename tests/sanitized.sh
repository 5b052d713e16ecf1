#!/usr/bin/env bash
# The Python tests over a compiled module that is built with the address, leak and
# undefined-behaviour sanitizers:
#
#     tests/sanitized.sh [pytest's arguments]
#
# Python itself gives little of its memory back when it ends. So of the leaks that are found
# then only those count that a function of csrc/ is part of.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT

CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g" \
    python -m pip install -q --no-deps --target "$built/lib" .

# tests that measure memory or fill it, and what preloads a library of its own
others="not megabytes and not 64_bytes and not given_back and not take_little \
    and not allocation and not memory_ends"
status=0
cd "$built/lib"  # before the folder of the sources, where another compiled module may be
LD_PRELOAD="$(cc -print-file-name=libasan.so) $(cc -print-file-name=libubsan.so)" \
    PYTHONMALLOC=malloc ASAN_OPTIONS="log_path=$built/report" LSAN_OPTIONS="exitcode=0" \
    python -m pytest -q -p no:cacheprovider -c "$root/pyproject.toml" --rootdir "$root" \
    -k "$others" "${@:-$root/tests}" || status=$?

# an error, or a leak with one of our functions in its story
found=$(cat "$built"/report.* 2>/dev/null |
    awk -v RS= '/ERROR: AddressSanitizer|runtime error/ || (/leak of/ && /csrc\/[a-z]+\.c/)')
if [ -n "$found" ]; then
    printf '%s\n' "$found"
    exit 1
fi
exit "$status"
