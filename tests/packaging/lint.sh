#!/bin/sh
#
# The linters have nothing to say about scripts and manual.

# shellcheck source=tests/packaging/support/checks
. "$(dirname "$0")/support/checks"

cd "$project" || exit 1

# rc.subr is FreeBSD's (SC1091): it sets and reads variables of the service script (SC2034, SC2154), and defaults
# are written as all service scripts write them (SC2223).
check "shellcheck finds nothing in the service script" \
    shellcheck -s dash -e SC1091,SC2034,SC2154,SC2223 rc.d/dtcpclient.in
check "shellcheck finds nothing in these checks" \
    shellcheck -x -P . tests/packaging/run tests/packaging/*.sh tests/packaging/support/checks tests/packaging/support/rc.subr tests/packaging/support/bin/*
check "shellcheck finds nothing in the sample scripts" shellcheck samples/*.script

# What the manual refers to is on FreeBSD, not on every host that runs these checks.
said=$(mandoc -T lint -I os=FreeBSD man/dtcpclient.8 2>&1 |
    grep -v -e 'referenced manual not found' -e 'outdated mandoc.db')
same "mandoc finds nothing in the manual" "" "$said"
same "the manual has one sentence a line" "" "$(grep -n '^[^.].*[a-z)]\. [A-Z]' man/dtcpclient.8)"
