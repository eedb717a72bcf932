#!/bin/sh
# Runs the test executables in tests/ with the program and the broker, all next to this file. Must be run as root on
# FreeBSD; without the privilege to create interfaces, the kernel tests report that they are skipped.
# With --bench, measures what the program costs instead.
set -u

here=$(cd "$(dirname "$0")" && pwd)
export DTCPCLIENT="$here/dtcpclient" DTCPCLIENT_BROKER="$here/broker"
[ "${1:-}" != --bench ] || exec "$here"/tests/cost-* --bench
# Most of the slow tests only wait.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-4}"
failed=
for test in "$here"/tests/*; do
    echo "$test"
    "$test" || failed="$failed ${test##*/}"
done
if [ -n "$failed" ]; then
    echo "failed:$failed" >&2
    exit 1
fi
