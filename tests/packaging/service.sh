#!/bin/sh
#
# The service script, run by a POSIX shell against a stand-in for rc.subr: what it starts, with which words.

# shellcheck source=tests/packaging/support/checks
. "$(dirname "$0")/support/checks"

prefix=$scratch/local
run=$scratch/run
RC_CONF=$scratch/rc.conf
RC_LOG=$scratch/log
PATH=$support/bin:$PATH
export RC_CONF RC_LOG PATH
mkdir -p "$prefix/sbin" "$prefix/etc/rc.d" "$run"
cd "$scratch" || exit 1

# The program leaves a daemon, and thus a pid file, unless $EXIT is a failure.
cat >"$prefix/sbin/dtcpclient" <<'PROGRAM'
#!/bin/sh
{
	printf 'dtcpclient'
	printf ' [%s]' "$@"
	echo "${TUNNEL:+ TUNNEL=$TUNNEL}${FIB:+ FIB=$FIB}"
} >>"$RC_LOG"
if [ "$1" = --status ]; then
	echo "state: up"
	exit
fi
[ "${EXIT:=0}" -le 1 ] || exit "$EXIT"
while [ $# -gt 0 ]; do
	[ "$1" = -f ] && pidfile=$2
	shift
done
echo 77 >"$pidfile"
exit "$EXIT"
PROGRAM
chmod +x "$prefix/sbin/dtcpclient"

# install_service SHELL: the script as the port installs it, for that shell.
install_service()
{
	sed -e "1s|.*|#!$1|" -e "s|%%PREFIX%%|$prefix|g" -e "s|/etc/rc.subr|$support/rc.subr|" \
	    -e "s|/var/run|$run|g" "$project/rc.d/dtcpclient.in" >"$prefix/etc/rc.d/dtcpclient"
	chmod +x "$prefix/etc/rc.d/dtcpclient"
}

# runs PID...: only these daemons run; each has the pid file dtcpclient.pid or, if given as NAME=PID, that of a profile.
runs()
{
	rm -f "$run"/*
	for daemon in "$@"; do
		case $daemon in
		*=*)
			echo "${daemon#*=}" >"$run/dtcpclient.${daemon%%=*}.pid"
			;;
		*)
			echo "$daemon" >"$run/dtcpclient.pid"
			;;
		esac
	done
}

# service RC_CONF ARGUMENT...: acts, and leaves what was done in $did and what was said in $said. $nasty is $NASTY in
# rc.conf.
service()
{
	printf '%s\n' "$1" >"$RC_CONF"
	shift
	: >"$RC_LOG"
	said=$(NASTY=$nasty "$prefix/etc/rc.d/dtcpclient" "$@" 2>&1)
	status=$?
	did=$(cat "$RC_LOG")
	said=$(echo "$said" | sed "s|^$prefix/etc/rc.d/dtcpclient: ||")
}

# starts STATEMENT RC_CONF WORDS: the start that runs dtcpclient with these words, after loading if_gif.
starts()
{
	runs
	service "$2" start
	same "$1" "kldload if_gif
dtcpclient $3
Starting dtcpclient.
0" "$did
$said
$status"
}

# refuses STATEMENT RC_CONF PART ARGUMENT...: it fails, with a sentence that has this part, and does nothing.
refuses()
{
	statement=$1
	conf=$2
	part=$3
	shift 3
	service "$conf" "$@"
	case $status:$did:$said in
	0:*)
		echo "it succeeded" | failed "$statement"
		;;
	*::*"$part"*)
		passed "$statement"
		;;
	*)
		printf 'not said:\n%s\nsaid:\n%s\ndone:\n%s\n' "$part" "$said" "$did" | failed "$statement"
		;;
	esac
}

on='dtcpclient_enable=YES'
broker="$on
dtcpclient_server=broker.example.net"
two="$broker
dtcpclient_profiles='home work'
dtcpclient_username=alice
dtcpclient_work_server=work.example.org
dtcpclient_work_username=bob
dtcpclient_work_flags='-t host -l'
dtcpclient_work_udp=YES"
added="[-D] [--no-prompt] [-f] [$run/dtcpclient.pid]"
home="[-D] [--no-prompt] [-f] [$run/dtcpclient.home.pid] [-w] [10]"
work="[-D] [--no-prompt] [-f] [$run/dtcpclient.work.pid] [-w] [10]"

check_command_line()
{
	starts "a server alone is enough: it becomes a daemon, waits for the tunnel and asks nobody for a password" \
	    "$broker" "[-t] [network] [-l] $added [-w] [10] [broker.example.net]"
	starts "each variable is passed on" "$broker
dtcpclient_username=alice
dtcpclient_interface=wan6
dtcpclient_wait=60
dtcpclient_pidfile=$run/mine
dtcpclient_flags='-t host'" \
	    "[-t] [host] [-D] [--no-prompt] [-f] [$run/mine] [-w] [60] [--interface] [wan6] [-u] [alice] [broker.example.net]"
	starts "settings of the old port's users keep their command line" "$broker
dtcpclient_username=alice
dtcpclient_flags='-t host -Dl -U'" \
	    "[-t] [host] [-Dl] [-U] $added [-w] [10] [-u] [alice] [broker.example.net]"
	starts "empty flags are the default ones" "$broker
dtcpclient_flags=''" \
	    "[-t] [network] [-l] $added [-w] [10] [broker.example.net]"
	starts "with 0 it does not wait" "$broker
dtcpclient_wait=0" \
	    "[-t] [network] [-l] $added [-w] [0] [broker.example.net]"
	flags='-t host'
	export flags
	starts "flags in the environment come before those of rc.conf" "$broker" \
	    "[-t] [host] $added [-w] [10] [broker.example.net]"
	unset flags

	# What rc.subr puts before the command
	starts "another program, an environment, a FIB and limits can be set, as for any service" "$broker
dtcpclient_program='$prefix/sbin/dtcpclient'
dtcpclient_env='TUNNEL=six'
dtcpclient_fib=1
dtcpclient_chdir=/
dtcpclient_prepend=env" \
	    "[-t] [network] [-l] $added [-w] [10] [broker.example.net] TUNNEL=six FIB=1"
	starts "... also under nice" "$broker
dtcpclient_env='TUNNEL=six'
dtcpclient_fib=1
dtcpclient_nice=5" \
	    "[-t] [network] [-l] $added [-w] [10] [broker.example.net] TUNNEL=six FIB=1"

	# Modules
	service "$broker
dtcpclient_udp=YES" faststart
	same "a tunnel in UDP needs netgraph's modules and -U" "kldload ng_socket
kldload ng_iface
kldload ng_ksocket
dtcpclient [-t] [network] [-l] $added [-w] [10] [-U] [broker.example.net]" "$did"
	RC_JAILED=yes
	export RC_JAILED
	service "$broker" faststart
	same "in a jail no module is asked for" "dtcpclient [-t] [network] [-l] $added [-w] [10] [broker.example.net]" "$did"
	unset RC_JAILED
	starts "a service jail is declined" "$broker
dtcpclient_svcj=YES" \
	    "[-t] [network] [-l] $added [-w] [10] [broker.example.net]"
}

check_status_of_start()
{
	EXIT=1
	export EXIT
	starts "a tunnel that is not up in time is no failure: the daemon goes on" "$broker" \
	    "[-t] [network] [-l] $added [-w] [10] [broker.example.net]"
	starts "... also under nice" "$broker
dtcpclient_nice=5" \
	    "[-t] [network] [-l] $added [-w] [10] [broker.example.net]"
	for nice in '' dtcpclient_nice=5; do
		for EXIT in 64 66 69 75 78; do
			runs
			service "$broker
$nice" start
			same "status $EXIT is a failure${nice:+, under nice}" "Starting dtcpclient.
WARNING: failed to start dtcpclient:1" "$said:$status"
		done
		runs 43
		EXIT=75
		service "$broker
$nice" faststart
		says "... also where the pid file is that of another${nice:+, under nice}" "WARNING: failed to start dtcpclient" "$said"
		EXIT=0
		runs
		service "$broker
dtcpclient_fib=9
$nice" start
		says "status 1 of setfib is a failure${nice:+, under nice}" "WARNING: failed to start dtcpclient" "$said"
	done
	unset EXIT
}

check_refusals()
{
	runs
	refuses "without a server it says what to set" "$on" "dtcpclient_server is not set" start
	refuses "an empty server is none" "$on
dtcpclient_server=" "dtcpclient_server is not set" start
	# shellcheck disable=SC1003,SC2016,SC2089 # nothing of this is to expand
	for nasty in '; touch harm' '$(touch harm)' '`touch harm`' '& touch harm' '| touch harm' '>harm' '<harm' '# -D' \
	    'it"s' "it's" 'a\' '*' 'h?rm' '[h]arm' '~' '$HOME' 'a(b)'; do
		refuses "what the shell would not take as it is is refused in the flags: $nasty" "$broker
dtcpclient_flags=\$NASTY" "special characters of the shell are not allowed" start
		refuses "... and in the user's name, by force, under nice: $nasty" "$broker
dtcpclient_username=\$NASTY
dtcpclient_nice=5" "special characters of the shell are not allowed" forcestart
	done
	nasty='-l
touch harm'
	for variable in flags server username interface wait; do
		refuses "a second line is refused in dtcpclient_$variable" "$broker
dtcpclient_$variable=\$NASTY" "special characters of the shell are not allowed" start
		refuses "... also in a profile" "$two
dtcpclient_home_$variable=\$NASTY" "special characters of the shell are not allowed" start home
	done
	refuses "... also in flags of the environment" "$broker
flags=\$NASTY" "special characters of the shell are not allowed" start
	# shellcheck disable=SC2016
	for nasty in "$run/a b" "$run/\$HOME" "$run/x; touch harm" "$run/it's" mine; do
		for word in start status stop; do
			refuses "a pid file that rc.subr cannot read is refused" "$broker
dtcpclient_pidfile=\$NASTY" "dtcpclient_pidfile is not a plain absolute path" "$word"
		done
	done
	check "nothing in a value is run" test ! -e harm

	service "dtcpclient_server=broker.example.net" start
	says "disabled, it does not start and says what to set" "Set dtcpclient_enable to YES" "$said"
	same "... and nothing is done" "" "$did"
	service "dtcpclient_server=broker.example.net" onestart
	same "disabled, onestart starts it" "kldload if_gif
dtcpclient [-t] [network] [-l] $added [-w] [10] [broker.example.net]" "$did"
}

check_daemon()
{
	runs 43
	service "$broker" start
	same "one that runs is not started again" "dtcpclient already running?  (pid=43).:" "$said:$did"
	service "$broker" status
	same "status names its pid" "dtcpclient is running as pid 43." "$said"
	service "$broker" reload
	same "reload sends SIGHUP" "kill -HUP 43" "$did"
	same "... and says what that does" "dtcpclient reads the auth file again and logs in again." "$said"
	service "$broker" info
	same "info asks the daemon for its state" "dtcpclient [--status] [-f] [$run/dtcpclient.pid]" "$did"
	same "... and prints the answer" "state: up" "$said"
	service "$broker" poll
	same "poll waits for its end" "pwait 43" "$did"
	service "$on" restart
	says "a restart without a server is refused" "dtcpclient_server is not set" "$said"
	same "... before the running one is stopped" "" "$did"
	service "$broker
dtcpclient_flags='-l; touch harm'" restart
	says "a restart with bad flags is refused" "special characters" "$said"
	same "... before the running one is stopped" "" "$did"
	service "$broker" restart
	same "restart stops it and starts it" "kill -TERM 43
pwait 43
kldload if_gif
dtcpclient [-t] [network] [-l] $added [-w] [10] [broker.example.net]" "$did"
	runs 43
	service "$on" stop
	same "stop works without a server" "kill -TERM 43
pwait 43" "$did"
	runs 43
	service "$broker
dtcpclient_flags='-l; touch harm'" stop
	same "stop works whatever the flags" "kill -TERM 43
pwait 43" "$did"
	runs
	service "$broker" status
	same "status of none says so" "dtcpclient is not running.:1" "$said:$status"
	service "$broker" reload
	says "reload of none says so" "dtcpclient not running?" "$said"
	service "$broker" extracommands
	same "reload and info are its extra commands" "reload info" "$said"
	service "$broker" enable
	same "it can be enabled" "enable dtcpclient_enable" "$did"
	service "$broker" rcvar
	same "rcvar shows the variable" "dtcpclient_enable=YES" "$said"
	service "$broker" describe
	same "it describes itself" "IPv6 tunnel from a DTCP broker" "$said"
	refuses "a command that it does not know is refused" "$broker" "unknown directive 'begin'" begin
	refuses "... and none too" "$broker" "unknown directive"

	# The pid file
	echo 41 >"$run/mine"
	for words in "-Dlf $run/other" "-Dlf$run/other" "-D -f $run/other" "-D --pid-file=$run/other"; do
		runs
		service "$broker
dtcpclient_flags='$words'" start
		service "$broker
dtcpclient_flags='$words'" status
		same "a daemon is found whatever pid file is in old flags" "dtcpclient is running as pid 77." "$said"
	done
	echo 41 >"$run/dtcpclient.main.pid"
	service "$broker
dtcpclient_pidfile=$run/dtcpclient.main.pid" status
	same "the pid file can be set" "dtcpclient is running as pid 41." "$(echo "$said" | sed '$!d')"
	same "... and looks like that of a profile, but is none" 1 "$(echo "$said" | grep -c "pid 41")"
}

check_profiles()
{
	runs
	service "$two" start
	same "each profile is started with its own variables, or the general ones" "kldload if_gif
dtcpclient [-t] [network] [-l] $home [-u] [alice] [broker.example.net]
kldload ng_socket
kldload ng_iface
kldload ng_ksocket
dtcpclient [-t] [host] [-l] $work [-U] [-u] [bob] [work.example.org]" "$did"
	same "... and is announced" "Starting dtcpclient_home.
Starting dtcpclient_work." "$said"
	runs
	service "$two
rc_startmsgs=NO" faststart
	same "... unless rc_startmsgs forbids that at boot" "" "$said"
	runs
	service "$two" start work
	same "one profile can be started alone" 1 "$(echo "$did" | grep -c '^dtcpclient')"
	runs
	service "$two
dtcpclient_profiles='home work third'" start work home
	same "several can be named" "Starting dtcpclient_work.
Starting dtcpclient_home." "$said"
	runs home=51 work=52
	service "$two" reload
	same "each profile has a pid file of its own" "kill -HUP 51
kill -HUP 52" "$did"
	service "$two" info
	same "info says which profile it is about" "dtcpclient_home:
state: up
dtcpclient_work:
state: up" "$said"
	service "$two" info work
	same "... and asks the daemon of that one" "dtcpclient [--status] [-f] [$run/dtcpclient.work.pid]" "$did"
	service "$two
dtcpclient_home_enable=NO" onestatus
	says "status goes through all of them" "dtcpclient_work is running as pid 52." "$said"
	service "$two" faststop work
	same "one profile can be stopped alone" "kill -TERM 52
pwait 52" "$did"
	service "$two" status
	same "one that does not run is reported by name, and counts" "dtcpclient_home is running as pid 51.
dtcpclient_work is not running.:1" "$said:$status"
	runs
	service "$two
dtcpclient_home_enable=NO" start
	same "a profile can be disabled" 1 "$(echo "$did" | grep -c '^dtcpclient')"
	says "... and says by which variable" "Set dtcpclient_home_enable to YES" "$said"
	runs
	service "$two
dtcpclient_enable=NO
dtcpclient_work_enable=YES" start
	says "a profile alone can be enabled" "[work.example.org]" "$did"
	service "$two" enable work
	same "... by its own command" "enable dtcpclient_work_enable" "$did"
	runs
	service "$two
dtcpclient_fib=1
dtcpclient_work_fib=0
dtcpclient_work_nice=5" start
	same "variables for all services can be general or a profile's" "broker.example.net] FIB=1
work.example.org] FIB=0" "$(echo "$did" | grep -o '[a-z.]*\] FIB=.')"
	runs
	service "$two
dtcpclient_interface=wan6
dtcpclient_pidfile=$run/all
dtcpclient_work_interface=wan7
dtcpclient_work_pidfile=$run/mine" start
	says "the general pid file and interface are not those of a profile" "$home [-u]" "$did"
	says "... which can have its own" "[-f] [$run/mine] [-w] [10] [--interface] [wan7]" "$did"
	runs
	service "$two
dtcpclient_home_username=
dtcpclient_home_flags=
dtcpclient_home_wait=" start home
	says "a profile can set a general value to empty" \
	    "dtcpclient [-D] [--no-prompt] [-f] [$run/dtcpclient.home.pid] [broker.example.net]" "$did"
	runs
	service "$two
dtcpclient_server=" start
	says "a profile without a server says what to set" "dtcpclient_home_server is not set" "$said"
	says "... and the next one is started" "[work.example.org]" "$did"
	same "... and the failure counts" 1 "$status"
	refuses "a profile that is not listed is refused" "$two" "there is no profile 'hom'" start hom
	refuses "a profile where there are none is refused" "$broker" "there is no profile 'home'" start home
	refuses "a profile's name is a word" "$two
dtcpclient_profiles='a-b'" "'a-b' is not a profile's name" start
	refuses "... also on the command line" "$two" "is not a profile's name" status ';>harm'
	check "... whatever it is" test ! -e harm
	service "$two" rcvar
	same "what is not about a tunnel is not done for each" "dtcpclient_enable=YES" "$said"
}

# Daemons that are no longer in rc.conf: without a profile, of an old profile.
check_unlisted()
{
	one="$two
dtcpclient_profiles=home"
	runs 50 home=51 old=53
	service "$one" status
	same "status shows daemons that are no longer in rc.conf" "dtcpclient_old is running as pid 53.
dtcpclient is running as pid 50.
dtcpclient_home is running as pid 51." "$said"
	service "$one" status old
	same "... also one alone" "dtcpclient_old is running as pid 53." "$said"
	service "$one" reload
	same "reload reaches them" "kill -HUP 53
kill -HUP 50
kill -HUP 51" "$did"
	service "$one" info
	same "info asks them" "dtcpclient [--status] [-f] [$run/dtcpclient.old.pid]
dtcpclient [--status] [-f] [$run/dtcpclient.pid]
dtcpclient [--status] [-f] [$run/dtcpclient.home.pid]" "$did"
	service "$one" stop old
	same "one of them can be stopped alone" "kill -TERM 53
pwait 53" "$did"
	runs 50 home=51 old=53
	service "$one" start
	same "start leaves them alone" "dtcpclient_home already running?  (pid=51).:" "$said:$did"
	service "$one" restart
	same "restart stops them before it starts what is in rc.conf" "Stopping dtcpclient_old.
Stopping dtcpclient.
Stopping dtcpclient_home.
Starting dtcpclient_home." "$said"
	runs 50 home=51 old=53
	service "$one" restart old
	same "one of them can be restarted by its name" "kill -TERM 53
pwait 53
kldload if_gif
dtcpclient [-t] [network] [-l] [-D] [--no-prompt] [-f] [$run/dtcpclient.old.pid] [-w] [10] [-u] [alice] [broker.example.net]" "$did"
	runs 50 home=51 old=53
	service "$one" faststop
	same "stop stops all of them" "kill -TERM 53
pwait 53
kill -TERM 50
pwait 50
kill -TERM 51
pwait 51" "$did"
	runs home=51
	service "$broker" stop
	says "... also where there are no profiles any more" "Stopping dtcpclient_home." "$said"
	runs 50
	service "$broker" status
	same "without profiles there is one daemon" "dtcpclient is running as pid 50." "$said"
	service "$one" start old
	says "one that does not run is no profile any more" "there is no profile 'old'" "$said"
}

check_service()
{
	echo "        with $1"
	install_service "$1"
	check_command_line
	check_status_of_start
	check_refusals
	check_daemon
	check_profiles
	check_unlisted
}

check_service "$(command -v dash)"
for other in busybox mksh; do
	if shell=$(command -v "$other"); then
		[ "$other" = busybox ] && shell="$shell sh"
		check_service "$shell"
	fi
done

header=$(sed -n '/^# [A-Z]*: /s/^# //p' "$project/rc.d/dtcpclient.in")
same "rcorder finds its place" "PROVIDE: dtcpclient
REQUIRE: NETWORKING DAEMON
BEFORE: LOGIN
KEYWORD: nojailvnet shutdown" "$header"
