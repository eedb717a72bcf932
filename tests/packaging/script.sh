#!/bin/sh
#
# The sample script, run by dash with stand-ins for route(8) and ifconfig(8) that record what they are told.

# shellcheck source=tests/packaging/support/checks
. "$(dirname "$0")/support/checks"

WORLD=$scratch/world
export WORLD
route="route -n add -inet6 default -interface gif0"
unroute="route -n delete -inet6 default -interface gif0"
reject="route -n add -inet6 2001:db8:1::/48 ::1 -reject"
unreject="route -n delete -inet6 2001:db8:1::/48 ::1 -reject"
address="ifconfig em1 inet6 2001:db8:1::1 prefixlen 64 alias"
unaddress="ifconfig em1 inet6 2001:db8:1::1 -alias"

# new_world LAN: no default route, interface em1 without addresses, and the script with this LAN at its top.
new_world()
{
	rm -rf "$WORLD" "$scratch/run"
	mkdir "$WORLD" "$scratch/run"
	: >"$WORLD/em1"
	sed -e "s|^lan=.*|lan=\"$1\"|" -e "s|/var/run|$scratch/run|" "$project/samples/dtcpclient.script" \
	    >"$scratch/script"
}

# run STATE [TUNTYPE [PREFIX [INTERFACE [FIB]]]]: runs the script as dtcpclient does; what it did is in $did.
run()
{
	: >"$WORLD/log"
	said=$(interface=${4-gif0} fib=${5-} PATH="$support/bin:$PATH" dash -c "$client" dash "$scratch/script" \
	    "$1" broker.example.net 192.0.2.2 "${2-network}" 192.0.2.2 198.51.100.1 '' '' "${3-}" 2>&1)
	status=$?
	did=$(cat "$WORLD/log")
}

# The client, which starts the script: this shell, or one that is gone afterwards.
# shellcheck disable=SC2016 # for another shell
lives='exec dash "$@"' dies='dash "$@"; exit'
client=$lives

new_world em1
run up network 2001:db8:1::/48
same "up adds the LAN's address, a route that rejects the rest of the prefix, and the default route" "$address
$reject
$route" "$did"
same "... and has nothing to say" "0:" "$status:$said"
run up network 2001:db8:1::/48
same "up once more adds nothing" "" "$did"
run down network 2001:db8:1::/48
same "down removes them" "$unaddress
$unreject
$unroute" "$did"
run down network 2001:db8:1::/48
same "down once more removes nothing" "" "$did"
same "nothing is left behind" "" "$(ls "$scratch/run")$(cat "$WORLD/em1" "$WORLD/reject.0")"

new_world em1
echo em0 >"$WORLD/default.0"
echo 2001:db8:1::1 >"$WORLD/em1"
echo 2001:db8:1::/48 >"$WORLD/reject.0"
run up network 2001:db8:1::/48
same "what is there already is not added" "" "$did"
run down network 2001:db8:1::/48
same "what was there before is not removed" "" "$did"

new_world em1
echo 2001:db8:1::1f >"$WORLD/em1"
run up network 2001:db8:1::/48
says "an address that begins alike is another one" "$address" "$did"

new_world em1
echo gif0 >"$WORLD/default.0"
run up tunnelonly
run down tunnelonly
same "not even a default route of somebody else through the same tunnel" "" "$did"

new_world em1
run up network 2001:db8:1::/48
echo em0 >"$WORLD/default.0"
: >"$WORLD/em1"
: >"$WORLD/reject.0"
run down network 2001:db8:1::/48
same "a route that has been replaced, and what has gone, are left alone" "" "$did"
run down network 2001:db8:1::/48
same "... for good" "0:" "$status:$did$(ls "$scratch/run")"

new_world em1
run up network 2001:db8:1::/48
run up network 2001:db8:2::/48
same "another prefix after a crash replaces what is made of it" "$unaddress
$unreject
ifconfig em1 inet6 2001:db8:2::1 prefixlen 64 alias
route -n add -inet6 2001:db8:2::/48 ::1 -reject" "$did"
run down network 2001:db8:2::/48
same "... and down removes the new one" "$unroute
ifconfig em1 inet6 2001:db8:2::1 -alias
route -n delete -inet6 2001:db8:2::/48 ::1 -reject" "$did"

new_world em1
run up network 2001:db8:1::/48
run up network ''
same "no prefix after a crash takes these away" "$unaddress
$unreject" "$did"

new_world em1
run up network 2001:db8:1::/48
# Of another client, since the parent is another shell.
(
	run up network 2001:db8:9::/48 gif1
	same "another tunnel adds what is its own" "ifconfig em1 inet6 2001:db8:9::1 prefixlen 64 alias
route -n add -inet6 2001:db8:9::/48 ::1 -reject" "$did"
	run down network 2001:db8:9::/48 gif1
	same "... and removes no more than that" "ifconfig em1 inet6 2001:db8:9::1 -alias
route -n delete -inet6 2001:db8:9::/48 ::1 -reject" "$did"
)
run down network 2001:db8:1::/48
same "... so that the first one has its own to remove" "$unaddress
$unreject
$unroute" "$did"

# die_up PREFIX: a client runs "up" for interface gif0 and is killed; its interface is removed with the route through it.
die_up()
{
	client=$dies
	run up network "$1"
	client=$lives
	rm "$WORLD/default.0"
}

new_world em1
die_up 2001:db8:1::/48
run up network 2001:db8:1::/48 wan6
same "what a killed client has left is known as its own under another interface" \
    "route -n add -inet6 default -interface wan6" "$did"
run down network 2001:db8:1::/48 wan6
same "... and removed by down" "$unaddress
$unreject
route -n delete -inet6 default -interface wan6" "$did"
same "... to the last" "" "$(ls "$scratch/run")"

new_world em1
die_up 2001:db8:1::/48
mv "$scratch"/run/*.gif0 "$scratch/run/dtcpclient.script.$$.gif0"
(
	run down network 2001:db8:1::/48
	same "... under the same interface even if the number of the client is used again" "$unaddress
$unreject" "$did"
)

new_world em1
die_up 2001:db8:1::/48
run up network 2001:db8:2::/64 wan6
same "what is not wanted any more is removed by up" "$unaddress
$unreject
ifconfig em1 inet6 2001:db8:2::1 prefixlen 64 alias
route -n add -inet6 default -interface wan6" "$did"

new_world em1
: >"$WORLD/talks"
mkfifo "$scratch/pipe"
: <"$scratch/pipe" &
exec 4>"$scratch/pipe"
wait
# shellcheck disable=SC2016 # for another shell
client='dash "$@" >&4 2>/dev/null; exit'
run up network 2001:db8:1::/48
client=$lives
run down network 2001:db8:1::/48
same "what the script of a client that is killed meanwhile adds is known, too" "$unaddress
$unreject
$unroute" "$did"
exec 4>&-

new_world em1
die_up 2001:db8:1::/48
rm -r "$scratch/run"
mkdir "$scratch/run"
: >"$WORLD/em1"
: >"$WORLD/reject.0"
run up network 2001:db8:1::/48
same "after a boot, which cleans /var/run, all is added" "$address
$reject
$route" "$did"

new_world em1
die_up 2001:db8:1::/48
: >"$WORLD/em1"
: >"$WORLD/reject.0"
run up network '' wan6
same "a record that has outlived a boot removes nothing that is not there" \
    "route -n add -inet6 default -interface wan6" "$did"

new_world em1
run up network 2001:db8:1:2::/64
same "a /64 is for the LAN as it is" "ifconfig em1 inet6 2001:db8:1:2::1 prefixlen 64 alias
$route" "$did"
new_world em1
run up network 2001:db8::ff00/120
same "a prefix smaller than a /64 is none for a LAN" "$route" "$did"
says "... and says so" "2001:db8::ff00/120 is too small" "$said"

for type in tunnelonly host; do
	new_world em1
	run up "$type" 2001:db8:1::/48
	same "up of $type adds the route alone" "$route" "$did"
	run down "$type"
	same "down of $type removes it" "$unroute" "$did"
done
new_world ''
run up network 2001:db8:1::/48
same "without a LAN the routes alone are added" "$reject
$route" "$did"

new_world em1
echo em0 >"$WORLD/default.0"
run up network 2001:db8:1::/48 gif0 1
same "routes are added in the routing table of the interface" "$address
$reject -fib 1
$route -fib 1" "$did"
run down network 2001:db8:1::/48 gif0 1
same "... and removed there" "$unaddress
$unreject -fib 1
$unroute -fib 1" "$did"
new_world em1
run up network ''
same "without a prefix the route alone is added" "0:$route" "$status:$did$said"
new_world em1
run up '' '' gif0
same "an empty tunnel type is none" "0:$route" "$status:$did$said"
new_world em1
run up network 2001:db8:1::/48 ''
same "without an interface nothing is done" "64:" "$status:$did"
says "... and it says so" "interface is not set" "$said"
run ''
same "an empty state is refused" "64:" "$status:$did"
run sideways
same "an unknown state is refused" "64:" "$status:$did"

new_world em1
: >"$WORLD/broken"
run up network 2001:db8:1::/48
rm "$WORLD/broken"
echo gif0 >"$WORLD/default.0"
echo 2001:db8:1::1 >"$WORLD/em1"
echo 2001:db8:1::/48 >"$WORLD/reject.0"
run down network 2001:db8:1::/48
same "what could not be added is not removed" "" "$did"

same "the LAN's interface is for the administrator to name" 'lan=""' \
    "$(grep '^lan=' "$project/samples/dtcpclient.script")"
for script in dtcpclient broker; do
	check "the $script's sample script may be run" test -x "$project/samples/$script.script"
done
same "the sample of the auth file holds no login" "" "$(grep -v '^#' "$project/samples/dtcpclient.auth.sample")"
