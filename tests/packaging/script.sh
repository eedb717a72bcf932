#!/bin/sh
#
# The sample script, run by dash with stand-ins for route(8) and ifconfig(8) that record what they are told.

# shellcheck source=tests/packaging/support/checks
. "$(dirname "$0")/support/checks"

WORLD=$scratch/world
export WORLD
route="route -n add -inet6 default -interface gif0"
unroute="route -n delete -inet6 default -interface gif0"
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

# run STATE [TUNTYPE [PREFIX [INTERFACE]]]: runs the script as dtcpclient does; what it did is in $did.
run()
{
	: >"$WORLD/log"
	said=$(interface=${4-gif0} PATH="$support/bin:$PATH" dash "$scratch/script" \
	    "$1" broker.example.net 192.0.2.2 "${2-network}" 192.0.2.2 198.51.100.1 '' '' "${3-}" 2>&1)
	status=$?
	did=$(cat "$WORLD/log")
}

new_world em1
run up network 2001:db8:1::/48
same "up adds the default route and the LAN's address" "$route
$address" "$did"
same "... and has nothing to say" "0:" "$status:$said"
run up network 2001:db8:1::/48
same "up once more adds nothing" "" "$did"
run down network 2001:db8:1::/48
same "down removes both" "$unaddress
$unroute" "$did"
run down network 2001:db8:1::/48
same "down once more removes nothing" "" "$did"
same "nothing is left behind" "" "$(ls "$scratch/run")$(cat "$WORLD/em1")"

new_world em1
echo em0 >"$WORLD/default"
echo 2001:db8:1::1 >"$WORLD/em1"
run up network 2001:db8:1::/48
same "what is there already is not added" "" "$did"
run down network 2001:db8:1::/48
same "what was there before is not removed" "" "$did"

new_world em1
echo 2001:db8:1::1f >"$WORLD/em1"
run up network 2001:db8:1::/48
same "an address that begins alike is another one" "$route
$address" "$did"

new_world em1
echo gif0 >"$WORLD/default"
run up tunnelonly
run down tunnelonly
same "not even a default route of somebody else through the same tunnel" "" "$did"

new_world em1
run up network 2001:db8:1::/48
echo em0 >"$WORLD/default"
: >"$WORLD/em1"
run down network 2001:db8:1::/48
same "a route that has been replaced and an address that has gone are left alone" "" "$did"
run down network 2001:db8:1::/48
same "... for good" "0:" "$status:$did$(ls "$scratch/run")"

new_world em1
run up network 2001:db8:1::/48
run up network 2001:db8:2::/48
same "another prefix after a crash replaces the address" "$unaddress
ifconfig em1 inet6 2001:db8:2::1 prefixlen 64 alias" "$did"
run down network 2001:db8:2::/48
same "... and down removes the new one" "ifconfig em1 inet6 2001:db8:2::1 -alias
$unroute" "$did"

new_world em1
run up network 2001:db8:1::/48
run up network ''
same "no prefix after a crash takes the address away" "$unaddress" "$did"

new_world em1
run up network 2001:db8:1::/48
run up network 2001:db8:9::/48 gif1
run down network 2001:db8:1::/48
same "tunnels do not undo each other's work" "$unaddress
$unroute" "$did"

new_world em1
run up network 2001:db8:1:2::/64
says "a /64 is for the LAN as it is" "ifconfig em1 inet6 2001:db8:1:2::1 prefixlen 64 alias" "$did"
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
same "without a LAN the route alone is added" "$route" "$did"
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
echo gif0 >"$WORLD/default"
echo 2001:db8:1::1 >"$WORLD/em1"
run down network 2001:db8:1::/48
same "what could not be added is not removed" "" "$did"

same "the LAN's interface is for the administrator to name" 'lan=""' \
    "$(grep '^lan=' "$project/samples/dtcpclient.script")"
check "the sample script may be run" test -x "$project/samples/dtcpclient.script"
same "the sample of the auth file holds no login" "" "$(grep -v '^#' "$project/samples/dtcpclient.auth.sample")"
