#!/bin/sh
#
# The port's skeleton: in step with Cargo.lock, readable by BSD make, and installing what its packing list says;
# and `make install`, with either make, installing the same.

# shellcheck source=tests/packaging/support/checks
. "$(dirname "$0")/support/checks"

cd "$project" || exit 1
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

# port ARGUMENT...: BSD make in the port, with a stand-in for bsd.port.mk.
port()
{
	bmake -r -m "$support/mk" -C port "$@"
}

# value VARIABLE [ASSIGNMENT...]: what the port says, one word a line.
value()
{
	variable=$1
	shift
	port "$@" -V "\${$variable}" | tr -s ' \t' '\n'
}

# files DIRECTORY: its files with their modes, manuals compressed as the Ports Collection does.
files()
{
	(cd "$1" && find . -type f -printf '%m %P\n' | sed 's|\(/man/.*\)|\1.gz|' | sort -k 2)
}

# The crates
check "the list of crates is in step with Cargo.lock" tools/port --check
grep -A 2 '^name' Cargo.lock | awk '$1 == "name" { name = $3 } $1 == "version" { version = $3 }
    $1 == "source" { print name "-" version }' | tr -d '"' >"$scratch/locked"
check "... which locks crates from the registry" test -s "$scratch/locked"
same "BSD make reads all of them" "$(cat "$scratch/locked")" "$(value CARGO_CRATES)"
same "distinfo has a SHA256 and a SIZE of each" "$(sed 'p' "$scratch/locked")" \
    "$(sed -n -E 's|^(SHA256\|SIZE) \(rust/crates/(.*)\.crate\) = .*|\2|p' port/distinfo)"

# As the Ports Collection unpacks them: the crates of the list, and no registry.
mkdir -p "$scratch/home" "$scratch/vendor"
while read -r crate; do
	tar -x -z -C "$scratch/vendor" -f "$(find "${CARGO_HOME:-$HOME/.cargo}/registry/cache" -name "$crate.crate" | head -n 1)"
	printf '{"package":"%s","files":{}}\n' "$(sed -n "s|^SHA256 (rust/crates/$crate.crate) = ||p" port/distinfo)" \
	    >"$scratch/vendor/$crate/.cargo-checksum.json"
done <<-CRATES
	$(value CARGO_CRATES)
CRATES
cat >"$scratch/home/config.toml" <<-CONFIG
	[source.crates-io]
	replace-with = "vendored"
	[source.vendored]
	directory = "$scratch/vendor"
CONFIG
check "cargo needs no network and no other crate" \
    env CARGO_HOME="$scratch/home" cargo metadata --quiet --locked --offline --format-version 1

# The Makefile
same "the port's version is the program's" "$version" "$(value DISTVERSION)"
same "an epoch makes it newer than the date that the old port has as its version" 1 "$(value PORTEPOCH)"
order='PORTNAME DISTVERSION PORTEPOCH CATEGORIES MASTER_SITES DISTFILES -
MAINTAINER COMMENT WWW -
LICENSE LICENSE_FILE -
USES -
USE_RC_SUBR -
do-install -
.include'
same "variables stand in the order of the Porter's Handbook" "$(echo "$order" | tr '\n' ' ')" \
    "$(sed -n -E -e 's/^([A-Z_]+)=.*/\1/p' -e 's/^$/-/p' -e 's/^(do-install):/\1/p' -e 's/^(\.include) .*/\1/p' \
        port/Makefile | tr '\n' ' ')"
same "the comment fits into 70 characters and is no sentence" "" \
    "$(port -V COMMENT | grep -E '.{71}|\.$|^(A|An|The) ')"
check "the license file is there" test -f "$(value LICENSE_FILE WRKSRC=.)"
check "the service script is there" test -f "port/files/$(value USE_RC_SUBR).in"

# What is installed
mkdir -p "$scratch/target/triple/release"
echo program >"$scratch/target/triple/release/dtcpclient"
echo program >"$scratch/program"
for directory in sbin etc share/man/man8; do
	mkdir -p "$scratch/stage/usr/local/$directory"
done
check "the port installs" port do-install WRKSRC="$project" STAGEDIR="$scratch/stage" \
    CARGO_TARGET_DIR="$scratch/target" CARGO_BUILD_TARGET=triple
planned=$(sed -E -e 's|^@sample(\([^)]*\))? ||' port/pkg-plist | sort)
same "what the port installs is its packing list" "$planned" "$(files "$scratch/stage/usr/local" | cut -d ' ' -f 2)"

for make in make bmake; do
	root="$scratch/$make root"
	check "$make install works, also below a directory with a blank" \
	    "$make" install DESTDIR="$root" PREFIX=/opt/local PROGRAM="$scratch/program"
	same "... puts there what the port does, and the service script" "644 600
$(printf '%s\netc/rc.d/dtcpclient\n' "$planned" | sort)" \
	    "644 600
$(files "$root/opt/local" | cut -d ' ' -f 2)"
	same "... with modes that fit" "600 etc/dtcpclient.auth.sample
755 etc/dtcpclient.script.sample
555 etc/rc.d/dtcpclient
555 sbin/dtcpclient
444 share/man/man8/dtcpclient.8.gz" "$(files "$root/opt/local")"
	# shellcheck disable=SC2016 # the script expands it
	says "... and a service script that knows the prefix" 'command="/opt/local/sbin/${name}"' \
	    "$(cat "$root/opt/local/etc/rc.d/dtcpclient")"
	same "... everywhere" "" "$(grep %% "$root/opt/local/etc/rc.d/dtcpclient")"
	echo mine >"$root/opt/local/etc/dtcpclient.script"
	check "$make uninstall works" "$make" uninstall DESTDIR="$root" PREFIX=/opt/local
	same "... and leaves what it did not install" "etc/dtcpclient.script" \
	    "$(files "$root/opt/local" | cut -d ' ' -f 2)"
done
same "samples get the modes that the packing list names" "600 etc/dtcpclient.auth.sample
755 etc/dtcpclient.script.sample" \
    "$(sed -n -E 's|^@sample\(root,wheel,0([0-7]+)\) (.*)|\1 \2|p' port/pkg-plist)"

# The texts
same "the description's lines fit into 80 columns" "" "$(grep -E '.{81}' port/pkg-descr port/pkg-message)"
same "the messages are a list of objects with a type" "install upgrade" \
    "$(sed -n -E 's/^\{ type: ([a-z]+)$/\1/p' port/pkg-message | paste -s -d ' ')"
same "... in brackets" "[ ]" "$(sed -n '1p;$p' port/pkg-message | paste -s -d ' ')"
same "... each closed, and its text too" "4 4" \
    "$(grep -c -e '^{ ' -e 'message: <<EOM$' port/pkg-message) $(grep -c -x -e '}' -e EOM port/pkg-message)"
