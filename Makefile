# Works with BSD make and GNU make.
#
# make			builds the program
# make install		installs the same files as the FreeBSD port, under DESTDIR and PREFIX
# make uninstall	removes the installed files
# make freebsd		cross-builds and checks everything for FreeBSD on Linux

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
PROGRAM ?= target/release/dtcpclient

SBIN = $(DESTDIR)$(PREFIX)/sbin
ETC = $(DESTDIR)$(PREFIX)/etc
MAN8 = $(DESTDIR)$(PREFIX)/share/man/man8

build:
	$(CARGO) build --release --locked

install:
	mkdir -p "$(SBIN)" "$(ETC)/rc.d" "$(MAN8)"
	install -m 555 "$(PROGRAM)" "$(SBIN)/dtcpclient"
	install -m 444 man/dtcpclient.8 "$(MAN8)/dtcpclient.8"
	sed 's|%%PREFIX%%|$(PREFIX)|g' rc.d/dtcpclient.in >"$(ETC)/rc.d/dtcpclient"
	chmod 555 "$(ETC)/rc.d/dtcpclient"
	install -m 755 samples/dtcpclient.script "$(ETC)/dtcpclient.script.sample"
	install -m 600 samples/dtcpclient.auth.sample "$(ETC)/dtcpclient.auth.sample"

uninstall:
	rm -f "$(SBIN)/dtcpclient" "$(MAN8)/dtcpclient.8" "$(ETC)/rc.d/dtcpclient" \
	    "$(ETC)/dtcpclient.script.sample" "$(ETC)/dtcpclient.auth.sample"

freebsd:
	sh tools/freebsd/install.sh
	sh tools/freebsd/abi.sh
	sh tools/freebsd/build.sh

.PHONY: build install uninstall freebsd
