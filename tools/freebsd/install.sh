#!/bin/sh
# Installs what the cross-build needs and is still missing: Debian's newest Rust with the sources of its standard
# library, which is built for FreeBSD together with the program, and Zig, which has a linker, headers and libraries
# for FreeBSD. Zig is installed in target/freebsd/zig, everything else in the system.
set -eu

cd "$(dirname "$0")/../.."
zig_version=0.17.1
directory=target/freebsd/zig

packages=
for package in rustc-web cargo-web rust-web-clippy rust-web-src; do
    case $(dpkg-query --show --showformat '${Status}' "$package" 2>/dev/null) in
        'install ok installed') ;;
        *) packages="$packages $package" ;;
    esac
done
python3 -m pip --version >/dev/null 2>&1 || packages="$packages python3-pip"

if [ -n "$packages" ]; then
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    $as_root apt-get update -q
    # shellcheck disable=SC2086 # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $packages
fi

if [ "$("$directory/ziglang/zig" version 2>/dev/null)" != "$zig_version" ]; then
    rm -rf "$directory"
    python3 -m pip install --quiet --root-user-action=ignore --target "$directory" "ziglang==$zig_version"
fi
