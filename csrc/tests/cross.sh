#!/bin/sh
# The library on other machines than this one:
#
#     make -C csrc cross
#
# compiles it for each without a warning and lets the tests run there. Generator and data sets
# must be this machine's, bit for bit, and the course run that of all who have the same
# mathematics library. On Debian, what this needs is
#
#     pip install ziglang       # a C compiler for all of them
#     apt-get install qemu-user libc6-arm64-cross libc6-s390x-cross wine wine64
set -eu
cd "$(dirname "$0")/.."

warnings="-Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wconversion -Werror"
checked="rng.c data.c vector.c compile.c compile_walk.c compile_tasks.c compile_programs.c compile_choices.c replay.c recorded.c nn.c evaluate.c optim.c repr.c"  # and tape.c, which the others include
library="tape.c $checked"
glibc=../tests/golden/course-run.txt
musl=build/x86_64-linux-musl/run.txt

# not below this folder: in it are links to all of the machine
export WINEDEBUG=-all WINEPREFIX=$(mktemp -d)
trap 'wineserver -k || true; rm -rf "$WINEPREFIX"' EXIT

compile() {  # target, program, and what it consists of
    mkdir -p "build/$1"
    python3 -m ziglang cc -target "$1" @cflags -I. $warnings \
        -o "build/$1/$2" $3
}

compile_all() {
    compile "$1" bits.exe "tests/bits.c $library -lm"
    compile "$1" test.exe "tests/test.c $library -lm"
    compile "$1" recorded.exe "tests/recorded.c $checked -lm"
    compile "$1" main.exe "main.c $library -lm"
    compile "$1" stress.exe "tests/stress.c $checked -pthread -lm"
}

same() {  # what a program prints, and what it should
    tr -d '\r' < "$1" | cmp - "$2"
}

check() {  # target, the course run that it should print, and what runs programs for it
    target=$1 expected=$2 folder=build/$1
    shift 2
    compile_all "$target"
    "$@" "$folder/bits.exe" > "$folder/bits.txt"
    "$@" "$folder/test.exe" > "$folder/test.txt"
    "$@" "$folder/recorded.exe" > "$folder/recorded.txt"
    "$@" "$folder/main.exe" > "$folder/run.txt"
    "$@" "$folder/stress.exe" $stress > "$folder/stress.txt"
    same "$folder/bits.txt" build/bits.txt
    same "$folder/run.txt" "$expected"
    echo "$target: $(cat "$folder/test.txt" "$folder/recorded.txt" "$folder/stress.txt" | tr -d '\r' | paste -sd ';')"
}

only_compile() {
    compile_all "$1"
    echo "$1: compiled, and not run"
}

mkdir -p build
cc @cflags -I. -o build/bits tests/bits.c rng.c data.c -lm
build/bits > build/bits.txt

stress="4 20"  # threads and rounds
check x86_64-linux-musl $musl
check x86-linux-musl $musl
check aarch64-linux-gnu $glibc qemu-aarch64 -L /usr/aarch64-linux-gnu
check aarch64-linux-musl $musl qemu-aarch64
check arm-linux-musleabihf $musl qemu-arm
check s390x-linux-gnu $glibc qemu-s390x -L /usr/s390x-linux-gnu
check s390x-linux-musl $musl qemu-s390x
stress="16 100"  # no forks take their time there
check x86_64-windows-gnu $musl wine
only_compile aarch64-windows-gnu
only_compile x86_64-macos
only_compile aarch64-macos
