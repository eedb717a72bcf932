#!/bin/sh
#
# The port: in step with Cargo.lock, and readable by BSD make. `make package`, with either make: the port's own rules and
# texts, and a package of what the port's packing list says. `make install`: the same files.

# shellcheck source=tests/packaging/support/checks
. "$(dirname "$0")/support/checks"

cd "$project" || exit 1
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

# port ARGUMENT...: BSD make in the port, without the Ports Collection.
port()
{
	(cd port && bmake -r -m ../tools/package "$@")
}

# value VARIABLE [ASSIGNMENT...]: what the port says, one word a line.
value()
{
	variable=$1
	shift
	port "$@" -V "\${$variable}" | tr -s ' \t' '\n'
}

# files DIRECTORY: its files with their modes.
files()
{
	(cd "$1" && find . -type f -printf '%m %P\n' | sort -k 2)
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
USES USE_RC_SUBR -
CARGO_ENV LTO_UNSAFE -
SUB_FILES -
PLIST_FILES -
post-install -
.include'
same "variables stand in the order of the Porter's Handbook" "$(echo "$order" | tr '\n' ' ')" \
    "$(sed -n -E -e 's/^([A-Z_]+)=.*/\1/p' -e 's/^$/-/p' -e 's/^(post-install):/\1/p' -e 's/^(\.include) .*/\1/p' \
        port/Makefile | tr '\n' ' ')"
same "the comment fits into 70 characters and is no sentence" "" \
    "$(port -V COMMENT | grep -E '.{71}|\.$|^(A|An|The) ')"
check "the license file is there" test -f "$(value LICENSE_FILE WRKSRC=.)"
check "the service script is there" test -f "port/files/$(value USE_RC_SUBR).in"
same "the program is built for the prefix" "DTCPCLIENT_PREFIX=/opt/local" "$(value CARGO_ENV PREFIX=/opt/local)"
says "... and looks for its files there" "[default: /opt/local/etc/dtcpclient.auth]" \
    "$(env "$(value CARGO_ENV PREFIX=/opt/local)" cargo run --quiet --locked -- --help)"

# What is installed
echo "program, which looks for /opt/local/etc/dtcpclient.auth" >"$scratch/program"
planned="600 etc/dtcpclient.auth.sample
755 etc/dtcpclient.script.sample
555 etc/rc.d/dtcpclient
555 sbin/dtcpclient
444 share/man/man8/dtcpclient.8.gz"
license=share/licenses/dtcpclient-$version,1/BSD2CLAUSE

# A cargo that only says what it is to build.
cat >"$scratch/cargo" <<-'CARGO'
	#!/bin/sh
	echo "for $DTCPCLIENT_PREFIX: cargo $*"
CARGO
chmod +x "$scratch/cargo"

# As from a release.
mkdir "$scratch/project"
tar -c --exclude=target --exclude=.git . | tar -x -C "$scratch/project"
stage=$scratch/project/target/package/stage/opt/local
package=$scratch/project/dtcpclient-$version,1.pkg

# makes MAKE ARGUMENT...: runs the make there for the prefix /opt/local, with a pkg that shows what it was given.
makes()
{
	make=$1
	shift
	env BSD_MAKE=bmake PATH="$support/bin:$PATH" \
	    "$make" -C "$scratch/project" CARGO="$scratch/cargo" PREFIX=/opt/local PROGRAM="$scratch/program" "$@"
}

for make in make bmake; do
	rm -rf "$package"
	check "$make package works" makes "$make" package
	same "... with these files and modes" "$planned" "$(grep -v -F "$license" "$package/files" | sort -k 2)"
	says "... and the license" "444 $license" "$(cat "$package/files")"
	same "... and no other is staged" "$(sort -k 2 "$package/files" | cut -d ' ' -f 2)" \
	    "$(files "$stage" | cut -d ' ' -f 2)"
	same "... as the port names itself" "name: \"dtcpclient\"
version: \"$version,1\"
origin: \"net/dtcpclient\"
comment: \"$(port -V COMMENT)\"
maintainer: \"$(port -V MAINTAINER)\"
prefix: \"/opt/local\"
categories: [net]
licenselogic: single
licenses: [BSD2CLAUSE]" "$(cat "$package/+MANIFEST")"
	check "... with the port's description" cmp port/pkg-descr "$package/+DESC"
	says "... and a message that names the auth file and the form of its lines" \
	    "server:user:password to /opt/local/etc/dtcpclient.auth" "$(cat "$package/+DISPLAY")"
	same "... everywhere" "" "$(grep %% "$package/+DISPLAY")"

	root="$scratch/$make root"
	check "$make install works, also below a directory with a blank" makes "$make" install DESTDIR="$root"
	same "... puts there what the package has" "$planned" "$(files "$root/opt/local")"
	check "... byte by byte, but for the modes that the packing list gives" \
	    diff -r "$stage" "$root/opt/local" --exclude=bin --exclude=licenses
	# shellcheck disable=SC2016 # the script expands it
	says "... and a service script that knows the prefix" 'command="/opt/local/sbin/dtcpclient"' \
	    "$(cat "$root/opt/local/etc/rc.d/dtcpclient")"
	same "... everywhere" "" "$(grep %% "$root/opt/local/etc/rc.d/dtcpclient")"
	same "... as does the manual" "/opt/local/etc" \
	    "$(zcat "$root/opt/local/share/man/man8/dtcpclient.8.gz" | grep -o '/[a-z/]*/etc\b' | sort -u)"
	echo mine >"$root/opt/local/etc/dtcpclient.script"
	check "$make uninstall works" makes "$make" uninstall DESTDIR="$root"
	same "... and leaves what it did not install" "etc/dtcpclient.script" \
	    "$(files "$root/opt/local" | cut -d ' ' -f 2)"
	says "$make install builds what is not there" "for /opt/local: cargo build --release --locked" \
	    "$(makes "$make" install DESTDIR="$root" PROGRAM="$scratch/none" 2>&1)"
	says "... also if the program that is there looks elsewhere" "for /usr/local: cargo build --release --locked" \
	    "$(makes "$make" install DESTDIR="$root" PREFIX=/usr/local 2>&1)"
	same "... and installs none that does" "" "$(files "$root/usr/local" 2>/dev/null)"
done

# The texts
same "the description's lines fit into 80 columns" "" "$(grep -E '.{81}' port/pkg-descr port/files/pkg-message.in)"
same "the messages are a list of objects with a type" "install upgrade" \
    "$(sed -n -E 's/^\{ type: ([a-z]+)$/\1/p' port/files/pkg-message.in | paste -s -d ' ')"
same "... in brackets" "[ ]" "$(sed -n '1p;$p' port/files/pkg-message.in | paste -s -d ' ')"
same "... each closed, and its text too" "4 4" \
    "$(grep -c -e '^{ ' -e 'message: <<EOM$' port/files/pkg-message.in) $(grep -c -x -e '}' -e EOM port/files/pkg-message.in)"
same "... the second for all who upgrade from the old port, whose versions have no epoch" "0.1.0,1" \
    "$(sed -n 's/^ *maximum_version: "\(.*\)"$/\1/p' port/files/pkg-message.in)"
