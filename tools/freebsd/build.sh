#!/bin/sh
# Builds dtcpclient for FreeBSD on Linux, standard library included: the program and the test executables for
# amd64, which can be copied to a FreeBSD host and run there. Lints all of it for aarch64, and compiles the
# kernel crate for i386, where its structs have other sizes. A warning is an error. All goes to target/freebsd.
set -eu

cd "$(dirname "$0")/../.."
root=$PWD
target=$root/target/freebsd

export CARGO_TARGET_DIR="$target"
export CARGO_TARGET_X86_64_UNKNOWN_FREEBSD_LINKER="$root/tools/freebsd/cc.sh"
# Test executables without debugging information build and copy faster, and say as much when they fail.
export CARGO_PROFILE_DEV_DEBUG=0
export RUSTFLAGS='-D warnings'
# Debian's compiler is a stable one; building the standard library is not a stable feature.
export RUSTC_BOOTSTRAP=1
export PATH="/usr/bin:$PATH"

/usr/bin/cargo build --release -Z build-std=std,panic_abort --target x86_64-unknown-freebsd
/usr/bin/cargo test --no-run --workspace -Z build-std=std,panic_abort,test --target x86_64-unknown-freebsd
/usr/bin/cargo clippy --workspace --all-targets -Z build-std=std,panic_abort,test \
    --target aarch64-unknown-freebsd
/usr/bin/cargo check --package dtcpclient-ffi -Z build-std=std,panic_abort --target i686-unknown-freebsd

sh tools/freebsd/inspect.sh "$target/x86_64-unknown-freebsd/release/dtcpclient"
