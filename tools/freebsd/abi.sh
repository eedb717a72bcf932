#!/bin/sh
# Holds the table in ffi/src/abi against FreeBSD's headers, for each architecture. Then shows that this can fail: with
# every value wrong every assertion fails, and with one value wrong that one does.
set -eu

cd "$(dirname "$0")/../.."
target=$PWD/target/freebsd
facts=$target/abi-gate.c
wrong=$target/one-wrong.c
export ZIG_GLOBAL_CACHE_DIR="$target/zig-cache"

compile() { # ARCHITECTURE FILE [OPTION]
    "$target/zig/ziglang/zig" cc -target "$1-freebsd" -Wall -Wextra -Werror -ferror-limit=0 ${3:+"$3"} \
        -c "$2" -o "$target/abi.o"
}

expect_failures() { # NUMBER ARCHITECTURE FILE [OPTION]
    number=$1
    shift
    failed=$(compile "$@" 2>&1 | grep -c 'static assertion failed') || true
    if [ "$failed" -ne "$number" ]; then
        echo "$1: $failed assertions failed, not the $number that are wrong" >&2
        exit 1
    fi
}

cargo run --quiet --locked --package dtcpclient-ffi --example abi-gate >"$facts"
count=$(grep -c '^FACT(' "$facts")
sed 's/^FACT(SIOCAIFADDR_IN6, .*/FACT(SIOCAIFADDR_IN6, 0x8088691c, 0x807c691c)/' "$facts" >"$wrong"

for architecture in x86_64 aarch64 riscv64 powerpc64 x86; do
    compile "$architecture" "$facts"
    expect_failures "$count" "$architecture" "$facts" -DWRONG_BY=1
    expect_failures 1 "$architecture" "$wrong"
done
echo "$count facts agree with FreeBSD's headers for amd64, aarch64, riscv64, powerpc64 and i386"
