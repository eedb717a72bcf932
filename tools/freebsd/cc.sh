#!/bin/sh
# Linker for x86_64-unknown-freebsd, called by rustc: runs Zig's.
# Drops libraries that the libc crate requests but that are not used here and are missing from Zig, and an optimization
# level that Zig's linker does not support.
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
