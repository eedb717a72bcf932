# Works with BSD make and GNU make.
#
# make			builds the program, which looks for its files under PREFIX
# make install		installs the same files as the FreeBSD port, under DESTDIR and PREFIX
# make uninstall	removes the installed files
# make package		makes a package of the same files on FreeBSD, without a ports tree
# make freebsd		cross-builds and checks everything for FreeBSD on Linux

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
PROGRAM ?= target/release/dtcpclient
# make is BSD make on FreeBSD, whichever make reads this.
BSD_MAKE ?= make

SBIN = $(DESTDIR)$(PREFIX)/sbin
ETC = $(DESTDIR)$(PREFIX)/etc
MAN8 = $(DESTDIR)$(PREFIX)/share/man/man8

# Whether the program is there and was built for this PREFIX.
BUILT = grep -qs "$(PREFIX:/=)/etc/dtcpclient.auth" "$(PROGRAM)"

build:
	DTCPCLIENT_PREFIX="$(PREFIX)" $(CARGO) build --release --locked

# Builds only what is missing: the user who installs may have no Rust.
built:
	@$(BUILT) || $(MAKE) build
	@$(BUILT) || { echo "$(PROGRAM) was built for another PREFIX than $(PREFIX)" >&2; exit 1; }

install: built
	mkdir -p "$(SBIN)" "$(ETC)/rc.d" "$(MAN8)"
	install -m 555 "$(PROGRAM)" "$(SBIN)/dtcpclient"
	sed 's|/usr/local/etc|$(PREFIX)/etc|g' man/dtcpclient.8 | gzip -9n >"$(MAN8)/dtcpclient.8.gz"
	chmod 444 "$(MAN8)/dtcpclient.8.gz"
	sed 's|%%PREFIX%%|$(PREFIX)|g' rc.d/dtcpclient.in >"$(ETC)/rc.d/dtcpclient"
	chmod 555 "$(ETC)/rc.d/dtcpclient"
	install -m 755 samples/dtcpclient.script "$(ETC)/dtcpclient.script.sample"
	install -m 600 samples/dtcpclient.auth.sample "$(ETC)/dtcpclient.auth.sample"

uninstall:
	rm -f "$(SBIN)/dtcpclient" "$(MAN8)/dtcpclient.8.gz" "$(ETC)/rc.d/dtcpclient" \
	    "$(ETC)/dtcpclient.script.sample" "$(ETC)/dtcpclient.auth.sample"

# The port's own rules, with tools/package in the place of the Ports Collection.
package: built
	cd port && MAKEFLAGS= $(BSD_MAKE) -r -m ../tools/package package PREFIX="$(PREFIX)" PROGRAM="$(PROGRAM)"

freebsd:
	sh tools/freebsd/install.sh
	sh tools/freebsd/abi.sh
	sh tools/freebsd/build.sh

.PHONY: build built install uninstall package freebsd
