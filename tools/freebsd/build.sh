#!/bin/sh
# Builds dtcpclient for FreeBSD on Linux, standard library included: the program and the test executables for
# amd64. Lints all of it for aarch64, and for i386, where the kernel's structs have other sizes. A warning is an
# error. All goes to target/freebsd; in target/freebsd/kit is what a FreeBSD host needs to run the tests, Rust and
# sources not among it: copy it there, and start its run-tests.sh as root.
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

build_std=std,panic_abort
amd64=$target/x86_64-unknown-freebsd
kit=$target/kit

# At the same time as the rest: half of either is to wait for one crate after the other of the standard library.
{
    /usr/bin/cargo build --release -Z "build-std=$build_std" --target x86_64-unknown-freebsd
    sh tools/freebsd/inspect.sh "$amd64/release/dtcpclient"
} &
release=$!
trap 'kill "$release" 2>/dev/null || true' EXIT

/usr/bin/cargo test --no-run --workspace -Z "build-std=$build_std,test" --target x86_64-unknown-freebsd \
    --message-format json-render-diagnostics >"$target/tests.json"
/usr/bin/cargo-clippy clippy --workspace --all-targets -Z "build-std=$build_std,test" \
    --target aarch64-unknown-freebsd --target i686-unknown-freebsd
trap - EXIT
wait "$release"

rm -rf "$kit"
mkdir -p "$kit/tests"
cp tools/freebsd/run-tests.sh "$amd64/release/dtcpclient" "$amd64/debug/examples/broker" "$kit"
sed -n 's/.*"executable":"\([^"]*\/deps\/[^"]*\)".*/\1/p' "$target/tests.json" | while read -r test; do
    cp "$test" "$kit/tests"
done
echo "$kit: the program and $(find "$kit/tests" -type f | wc -l) test executables, for a FreeBSD host"
