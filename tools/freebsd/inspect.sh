#!/bin/sh
# Fails unless the program is a small, stripped, position-independent executable for FreeBSD.
# Usage: inspect.sh PROGRAM
set -eu

program=$1
most=$((1024 * 1024))

describe() {
    readelf --wide --file-header "$program" | sed -nE 's/^ *(Class|Type|Machine): *([^(]*[^( ]).*$/\1: \2/p'
    # The release that it was built for, in four bytes. The kernel identifies FreeBSD programs by this note.
    readelf --wide --notes "$program" | sed -nE 's/^ *(FreeBSD).*NT_VERSION.*data: (.*[^ ]) *$/note: \1 \2/p'
    readelf --wide --program-headers "$program" | sed -nE 's/.*program interpreter: (.*)\]$/interpreter: \1/p'
    readelf --wide --dynamic "$program" | sed -nE -e 's/.*Shared library: \[(.*)\]$/library: \1/p' \
        -e 's/.*\(FLAGS_1\) .*(PIE).*/flag: \1/p' | sort
    # Unwinding removes the tunnel after a panic; it needs this section.
    readelf --wide --sections "$program" | sed -nE 's/.* (\.gcc_except_table) .*/unwinds by: \1/p'
    # The C library finds its variable in the program only if the program exports it.
    readelf --wide --dyn-syms "$program" | sed -nE 's/.* (malloc_conf)$/exports: \1/p'
    readelf --wide --sections "$program" | sed -nE 's/.* (\.symtab|\.debug_[a-z]*) .*/not stripped: \1/p'
}

# 0x155eb4 is 1400500: FreeBSD 14.
expected='Class: ELF64
Type: DYN
Machine: Advanced Micro Devices X86-64
note: FreeBSD b4 5e 15 00
interpreter: /libexec/ld-elf.so.1
flag: PIE
library: libc.so.7
library: libthr.so.3
unwinds by: .gcc_except_table
exports: malloc_conf'

found=$(describe)
if [ "$found" != "$expected" ]; then
    printf '%s differs.\nexpected:\n%s\nfound:\n%s\n' "$program" "$expected" "$found" >&2
    exit 1
fi

size=$(wc -c <"$program")
if [ "$size" -ge "$most" ]; then
    echo "$program has $size bytes; the limit is $most" >&2
    exit 1
fi
echo "$program: FreeBSD, position independent, stripped, unwinding, needs libc and libthr, $size bytes"
