#!/bin/sh
# The linker that rustc calls for x86_64-unknown-freebsd: Zig's.
# Left out are libraries that the libc crate names, nothing here uses and Zig does not have, and a level of
# optimization that Zig's linker does not know.
set -eu

left=$#
while [ "$left" -gt 0 ]; do
    case $1 in
        -lkvm | -lmemstat | -lprocstat | -ldevstat | -Wl,-O1) ;;
        *) set -- "$@" "$1" ;;
    esac
    shift
    left=$((left - 1))
done
target=$(dirname "$0")/../../target/freebsd
export ZIG_GLOBAL_CACHE_DIR="$target/zig-cache"
exec "$target/zig/ziglang/zig" cc -target x86_64-freebsd "$@"
