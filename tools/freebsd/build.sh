#!/bin/sh
# Cross-builds dtcpclient for FreeBSD on Linux, including the standard library: the program and the test executables
# for amd64. Runs clippy for aarch64, and for i386, where the sizes of some structs differ. Warnings are errors.
# All output goes to target/freebsd. To run the tests, copy target/freebsd/kit to a FreeBSD host and run its
# run-tests.sh as root; neither Rust nor the sources are needed there.
set -eu

cd "$(dirname "$0")/../.."
root=$PWD
target=$root/target/freebsd

export CARGO_TARGET_DIR="$target"
export CARGO_TARGET_X86_64_UNKNOWN_FREEBSD_LINKER="$root/tools/freebsd/cc.sh"
# Without debugging information, test executables build and copy faster, and their failures read the same.
export CARGO_PROFILE_DEV_DEBUG=0
export RUSTFLAGS='-D warnings'
# Building the standard library is an unstable feature, which Debian's stable compiler does not allow otherwise.
export RUSTC_BOOTSTRAP=1
export PATH="/usr/bin:$PATH"

build_std=std,panic_abort
amd64=$target/x86_64-unknown-freebsd
kit=$target/kit

# In parallel with the tests: much of either build waits for single crates of the standard library.
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
echo "$kit: the program and $(find "$kit/tests" -type f | wc -l) test executables"
