# For make(1) of FreeBSD and for GNU make.

# On Linux: builds and checks all that runs on FreeBSD.
freebsd:
	sh tools/freebsd/build.sh

.PHONY: freebsd
