#!/bin/sh
# Records what a FreeBSD kernel does with gif, netgraph and interfaces. Run it as root on a host that can be thrown away:
# only lo0 is configured, there is no gif, ng or epair interface, and there is a C compiler, or a recorder in $RECORD.
#
#	sh record.sh >transcripts-RELEASE.txt
#	sh record.sh modules >transcripts-RELEASE-modules.txt	# gif and netgraph are modules, none of them loaded
#
# The recordings belong in ffi/tests/data; list a new one in ffi/tests/transcripts/main.rs. Each line that the recorder
# reads is one step: a function in record.c, and an arm in ffi/tests/transcripts/steps.rs.
set -eu

record=${RECORD:-$(mktemp -d)/record}
[ -n "${RECORD:-}" ] || cc -Wall -Wextra -o "$record" "$(dirname "$0")/record.c"

scene() { printf '@@ %s\n' "$1"; }
place() { printf 'PLACE %s\n' "$1"; }

cat <<X
# What a FreeBSD $(uname -r) $(uname -m) kernel did, byte for byte. Made by tools/freebsd/record.sh.
#
# @@ TITLE         a scene; it starts from the state that the one before it left
# PLACE NAME       where the steps that follow run; no tunnel is left from before
# RUN COMMAND      the administrator ran this command
# STEP NAME ...    one call
#   buffer.in  N HEX    what the argument of ioctl(2) points to, at address 0x10000
#   ioctl.in   N HEX    the argument given to ioctl(2); request NAME NUMBER follows
#   ioctl.out  N HEX    the argument as the kernel left it
#   buffer.out N HEX    the buffer as the kernel left it
#   sendto.addr N HEX   the sockaddr_ng given to sendto(2) on the control socket
#   sendto.msg  N HEX   the message given to sendto(2)
#   recv.addr   N HEX   the sender's sockaddr_ng, from recvfrom(2)
#   recv.msg    N HEX   the answer, from recvfrom(2)
#   route.msg   N HEX   one message read from a PF_ROUTE socket
#   echo.out    N HEX   an ICMPv6 message given to sendto(2) on a raw socket
#   echo.in     N HEX   one that was read from it
#   -> errno E TEXT     the call failed
# N is a length in bytes. The host has 192.0.2.1 on epair0a, its peer 192.0.2.2 is in a vnet jail.
X

make_gif() { # NAME
    cat <<X
create gif
set_description $1 "dtcpclient 192.0.2.2"
join_group $1 dtcp
set_outer $1 192.0.2.1 192.0.2.2
set_mtu $1 1280
get_nd $1
enable_ipv6 $1
get_flags $1
set_up $1
add_address $1 2001:db8::2 2001:db8::1
X
}

make_udp() { # ADDRESS REMOTE
    cat <<X
open_netgraph
mkpeer . iface dtcp inet
getifname dtcp
mkpeer dtcp ksocket inet6 inet/dgram/udp
getname dtcp.inet6
getpeername dtcp.inet6
bind dtcp.inet6 $1 4028
getname dtcp.inet6
connect dtcp.inet6 $2 4028
getname dtcp.inet6
getpeername dtcp.inet6
X
}

on_the_host() {
    kldload -nq if_gif ng_socket || true # a kernel that has them built in has no such modules
    jail -c name=peer vnet persist path=/ >&2
    ifconfig epair create >&2
    ifconfig epair0b vnet peer
    ifconfig epair0a inet 192.0.2.1/24 up
    jexec peer ifconfig epair0b inet 192.0.2.2/24 up
    sleep 2
    gif
    udp
    elsewhere
    routes
    echoes
}

gif() {
    scene 'gif: made'
    place host
    make_gif gif0 | "$record"
    "$record" <<X
members dtcp 0
members dtcp 16
get_description gif0 128
RUN sleep 2
get_address_flags gif0 2001:db8::2
X
    scene 'gif: every property set again'
    make_gif gif0 | sed 1d | "$record"
    "$record" <<X
get_address_flags gif0 2001:db8::2
add_address gif0 2001:db8::2 2001:db8::9
get_address_flags gif0 2001:db8::2
add_address gif0 2001:db8::2 2001:db8::1
set_description gif0 dtcpclient
get_description gif0 128
X
    scene 'gif: set down and IPv6 disabled by the administrator'
    "$record" <<X
RUN ifconfig gif0 down
RUN ifconfig gif0 inet6 ifdisabled
get_address_flags gif0 2001:db8::2
get_nd gif0
enable_ipv6 gif0
get_address_flags gif0 2001:db8::2
get_flags gif0
set_up gif0
get_flags gif0
RUN sleep 2
get_address_flags gif0 2001:db8::2
X
    scene 'gif: inner address replaced'
    "$record" <<X
remove_address gif0 2001:db8::2
add_address gif0 2001:db8::6 2001:db8::5
remove_address gif0 2001:db8::2
X
    scene 'gif: other outer addresses, a source that no interface has, and back'
    "$record" <<X
set_outer gif0 192.0.2.1 192.0.2.9
get_flags gif0
set_outer gif0 198.51.100.1 192.0.2.2
get_flags gif0
set_outer gif0 192.0.2.1 192.0.2.2
get_flags gif0
X
    scene 'gif: a second one with the same outer addresses'
    "$record" <<X
create gif
get_description gif1 128
set_outer gif1 192.0.2.1 192.0.2.2
join_group gif1 dtcp
members dtcp 0
members dtcp 16
members dtcp 32
join_group gif1 dtcp6
members nosuch 0
set_mtu gif1 1279
set_mtu gif1 8193
set_mtu gif1 8192
set_mtu gif1 99999
get_flags gif1
set_up gif1
get_flags gif1
destroy gif1
destroy gif1
X
    scene 'gif: descriptions'
    "$record" <<X
get_description gif0 4
get_description gif0 11
get_description gif0 10
set_description gif0 ""
get_description gif0 128
set_description gif0 dtcpclient
set_description gif9 dtcpclient
get_description gif9 128
RUN sysctl net.ifdescr_maxlen=10
set_description gif0 "10 bytes.."
set_description gif0 9.bytes..
get_description gif0 128
RUN sysctl net.ifdescr_maxlen=1024
X
    scene 'gif: units'
    "$record" <<X
RUN ifconfig gif7 create
create gif7
create ""
RUN ifconfig gif7 destroy
X
    scene 'gif: asked for its FIB'
    [ "$(sysctl -n net.fibs)" -gt 1 ] || sysctl net.fibs=2 >&2
    "$record" <<X
get_fib gif0
RUN ifconfig gif0 fib 1
get_fib gif0
RUN ifconfig gif0 fib 0
get_fib gif9
get_index gif0
get_index gif9
X
    scene 'gif: renamed'
    "$record" <<X
set_name gif0 wan0
set_outer gif0 192.0.2.1 192.0.2.2
get_flags gif0
members dtcp 16
get_description wan0 128
create gif
destroy gif1
set_name wan0 lo0
set_name wan0 a23456789012345
set_name a23456789012345 a234567890123456
set_name wan0 gif0
set_name a23456789012345 gif0
destroy gif0
X
    scene 'gif: renamed to a name with a blank, which only the kernel allows'
    "$record" <<X
create gif
join_group gif0 dtcp
set_name gif0 "a b"
members dtcp 16
get_flags "a b"
destroy "a b"
X
}

udp() {
    scene 'udp: made'
    place host
    {
        make_udp 192.0.2.1 192.0.2.2
        make_gif ng0 | grep -v -e create -e outer
        echo listnodes .
        echo close_netgraph
    } | "$record"
    scene 'udp: connected again'
    "$record" <<X
open_netgraph
getname ng0:inet6
bind ng0:inet6 192.0.2.1 4028
connect ng0:inet6 192.0.2.2 4030
getname ng0:inet6
getpeername ng0:inet6
connect ng0:inet6 203.0.113.1 4030
getname ng0:inet6
getpeername ng0:inet6
connect ng0:inet6 192.0.2.2 4028
getname ng0:inet6
getpeername ng0:inet6
X
    scene 'udp: a second one on the same port'
    {
        make_udp 0.0.0.0 192.0.2.2
        echo close_netgraph
        echo open_netgraph
        echo shutdown ng1:
    } | "$record"
    scene 'udp: the ksocket shut down, and made again'
    "$record" <<X
open_netgraph
mkpeer ng0: ksocket inet6 inet/dgram/udp
shutdown ng0:inet6
getname ng0:inet6
connect ng0:inet6 192.0.2.2 4028
shutdown ng0:inet6
listnodes .
mkpeer ng0: ksocket inet6 inet/dgram/udp
bind ng0:inet6 198.51.100.1 4028
bind ng0:inet6 192.0.2.1 4028
connect ng0:inet6 192.0.2.2 4028
getname ng0:inet6
get_flags ng0
X
    scene 'udp: renamed'
    "$record" <<X
open_netgraph
set_name ng0 wan6
getname ng0:inet6
getname wan6:inet6
members dtcp 16
shutdown wan6:
shutdown ng0:
get_flags wan6
X
    scene 'udp: destroyed'
    {
        make_udp 0.0.0.0 192.0.2.2
        cat <<X
destroy ng0
shutdown ng0:
shutdown ng0:
connect ng0:inet6 192.0.2.2 4028
mkpeer . nosuch dtcp inet
X
    } | "$record"
    scene 'udp: connected again with another route'
    {
        make_udp 192.0.2.1 192.0.2.2
        cat <<X
RUN ifconfig epair0a inet 203.0.113.1/24 alias
connect dtcp.inet6 203.0.113.2 4028
getname dtcp.inet6
RUN ifconfig epair0a inet 203.0.113.1 -alias
shutdown dtcp
X
    } | "$record"
}

elsewhere() {
    scene 'without privilege'
    place nobody
    "$record" <<X
become_nobody
open_netgraph
create gif
create ""
X
    scene 'as root in a jail without a network stack of its own'
    place jail
    jail -c path=/ ip4=inherit ip6=inherit command="$record" <<X
open_netgraph
create gif
create ""
X
    scene 'as root in a vnet jail'
    place vnet
    {
        make_udp 192.0.2.2 192.0.2.1
        echo shutdown dtcp
        make_gif gif0 | sed 's/192.0.2.1 192.0.2.2/192.0.2.2 192.0.2.1/'
        echo destroy gif0
    } | jexec peer "$record"
}

routes() {
    scene 'route socket: 192.0.2.1 replaced by 192.0.2.7, a gif comes and goes'
    place host
    "$record" <<X
check_address 192.0.2.1
RUN ifconfig epair0a inet 192.0.2.1 delete
check_address 192.0.2.1
RUN ifconfig epair0a inet 192.0.2.7/24
get_changes
check_address 192.0.2.7
create gif
destroy gif0
get_changes
X
}

echoes() {
    scene 'echo: through a gif, with a peer that answers, and then does not'
    place host
    make_gif gif0 | sed s/192.0.2.1/192.0.2.7/ | "$record"
    jexec peer ifconfig gif0 create tunnel 192.0.2.2 192.0.2.7 mtu 1280 >&2
    jexec peer ifconfig gif0 inet6 2001:db8::1 2001:db8::2 prefixlen 128 up
    "$record" <<X
RUN sleep 3
open_echo 2001:db8::9
open_echo ::
ping gif0 2001:db8::1 1 56
get_echo
open_echo 2001:db8::2
ping gif0 2001:db8::1 2 1280
get_echo
ping gif0 ff02::1 3 56
get_echo
RUN jexec peer ifconfig gif0 down
ping gif0 2001:db8::1 4 56
get_echo
destroy gif0
X
}

with_modules() {
    jail -c name=peer vnet persist path=/ >&2
    scene 'modules: nothing loaded'
    place modules
    "$record" <<X
open_netgraph
create gif
create gif7
create ""
load_module ng_nosuch
X
    scene 'modules: from a vnet jail, nothing loaded'
    place modules-vnet
    jexec peer "$record" <<X
load_module if_gif
open_netgraph
create gif
X
    scene 'modules: loaded, and loaded again'
    place modules
    "$record" <<X
load_module if_gif
load_module if_gif
create gif
destroy gif0
load_module ng_socket
load_module ng_socket
X
    scene 'modules: the kernel loads ng_iface and ng_ksocket by itself, and knows of no other type'
    {
        make_udp 127.0.0.1 127.0.0.1
        echo shutdown dtcp
        echo mkpeer . nosuch dtcp inet
    } | "$record"
    scene 'modules: from a vnet jail, with all loaded'
    place vnet-unrouted
    make_udp 0.0.0.0 192.0.2.1 | jexec peer "$record"
}

case ${1:-} in
    modules) with_modules ;;
    *) on_the_host ;;
esac
echo '@@ end'
