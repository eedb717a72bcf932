#!/bin/sh
# Runs the test executables that lie beside this file, with the program and the broker that lie beside it. On
# FreeBSD, as root: without the privilege to make interfaces, the tests of the kernel are skipped, and say so.
set -u

here=$(cd "$(dirname "$0")" && pwd)
export DTCPCLIENT="$here/dtcpclient" DTCPCLIENT_BROKER="$here/broker"
failed=
for test in "$here"/tests/*; do
    echo "$test"
    "$test" || failed="$failed ${test##*/}"
done
if [ -n "$failed" ]; then
    echo "failed:$failed" >&2
    exit 1
fi
