#!/bin/sh
#
# The service script, run by a POSIX shell against a stand-in for rc.subr: what it starts, with which words.

# shellcheck source=tests/packaging/support/checks
. "$(dirname "$0")/support/checks"

prefix=$scratch/local
run=$scratch/run
RC_CONF=$scratch/rc.conf
RC_LOG=$scratch/log
export RC_CONF RC_LOG
mkdir -p "$prefix/sbin" "$prefix/etc/rc.d" "$run"
cd "$scratch" || exit 1

cat >"$prefix/sbin/dtcpclient" <<'PROGRAM'
#!/bin/sh
{
	printf 'dtcpclient'
	printf ' [%s]' "$@"
	echo "${TUNNEL:+ TUNNEL=$TUNNEL}"
} >>"$RC_LOG"
PROGRAM
chmod +x "$prefix/sbin/dtcpclient"

# install_service SHELL: the script as the port installs it, for that shell.
install_service()
{
	sed -e "1s|.*|#!$1|" -e "s|%%PREFIX%%|$prefix|g" -e "s|/etc/rc.subr|$support/rc.subr|" \
	    -e "s|/var/run|$run|g" "$project/rc.d/dtcpclient.in" >"$prefix/etc/rc.d/dtcpclient"
	chmod +x "$prefix/etc/rc.d/dtcpclient"
}

# service RC_CONF ARGUMENT...: acts, and leaves what was done in $did and what was said in $said.
service()
{
	printf '%s\n' "$1" >"$RC_CONF"
	shift
	: >"$RC_LOG"
	said=$("$prefix/etc/rc.d/dtcpclient" "$@" 2>&1)
	status=$?
	did=$(cat "$RC_LOG")
}

# starts STATEMENT RC_CONF WORDS: the start that runs dtcpclient with these words, after loading if_gif.
starts()
{
	service "$2" start
	same "$1" "kldload if_gif
dtcpclient $3" "$did$said"
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
dtcpclient_work_flags='-t host -Dl -U'"

check_service()
{
	echo "        with $1"
	install_service "$1"
	rm -f "$run"/*

	# The command line
	starts "a server alone is enough: the flags are the old port's" "$broker" \
	    "[-t] [network] [-Dl] [broker.example.net]"
	starts "settings of the old port's users give its command line" "$broker
dtcpclient_username=alice
dtcpclient_flags='-t host -Dl'" \
	    "[-t] [host] [-Dl] [-u] [alice] [broker.example.net]"
	starts "empty flags are the default ones" "$broker
dtcpclient_flags=''" \
	    "[-t] [network] [-Dl] [broker.example.net]"
	flags='-D -t host'
	export flags
	starts "flags in the environment come before those of rc.conf" "$broker" \
	    "[-D] [-t] [host] [broker.example.net]"
	unset flags
	starts "another program and an environment can be set, as for any service" "$broker
dtcpclient_program='$prefix/sbin/dtcpclient'
dtcpclient_env='TUNNEL=six'" \
	    "[-t] [network] [-Dl] [broker.example.net] TUNNEL=six"

	# Values with blanks, quotes and worse
	starts "a value with blanks stays one word" "$on
dtcpclient_server='a b'
dtcpclient_username='c  d '" \
	    "[-t] [network] [-Dl] [-u] [c  d ] [a b]"
	# shellcheck disable=SC2016 # nothing of this is to expand
	nasty='dtcpclient_server="it'\''s \"here\" \$HOME \\ \`touch '$scratch'/harm\`; touch '$scratch'/harm #*"'
	# shellcheck disable=SC2016
	nasty_word="[it's \"here\" \$HOME \\ \`touch $scratch/harm\`; touch $scratch/harm #*]"
	starts "quotes, dollars, backslashes and semicolons stay what they are" "$on
$nasty" \
	    "[-t] [network] [-Dl] $nasty_word"
	starts "... also under nice, where the shell reads them twice" "$on
$nasty
dtcpclient_nice=5" \
	    "[-t] [network] [-Dl] $nasty_word"
	starts "a quoted value among the flags stays one word" "$broker
dtcpclient_flags='-Dl -s \"/usr/local/etc/my script\"'" \
	    "[-Dl] [-s] [/usr/local/etc/my script] [broker.example.net]"
	check "nothing in a value is run" test ! -e "$scratch/harm"

	# Refusals
	refuses "without a server it says what to set" "$on" "dtcpclient_server is not set" start
	refuses "an empty server is none" "$on
dtcpclient_server=" "dtcpclient_server is not set" start
	refuses "a quote without its match in the flags is refused" "$broker
dtcpclient_flags='-Dl -s it\"s'" "dtcpclient_flags has an unmatched quote" start
	# shellcheck disable=SC2016
	for words in '-Dl; touch harm' '-Dl $(touch harm)' '-Dl `touch harm`' '-Dl & touch harm' '-Dl | touch harm' \
	    '-Dl >harm' '-Dl <harm'; do
		refuses "flags that would be a command are refused: $words" "$broker
dtcpclient_flags='$words'" "dtcpclient_flags must contain only options" start
	done
	refuses "... also on a second line" "$broker
dtcpclient_flags='-Dl
touch harm'" "dtcpclient_flags must contain only options" start
	check "... and nothing of them is run" test ! -e harm
	service "dtcpclient_server=broker.example.net" start
	says "disabled, it does not start and says what to set" "Set dtcpclient_enable to YES" "$said"
	same "... and nothing is done" "" "$did"
	service "dtcpclient_server=broker.example.net" onestart
	same "disabled, onestart starts it" "kldload if_gif
dtcpclient [-t] [network] [-Dl] [broker.example.net]" "$did$said"

	# The pid file, where $run is the directory
	# shellcheck disable=SC2016 # rc.conf expands it
	for words in '-Dlf $run/mine' '-Dlf$run/mine' '-D -f $run/mine -l' '-lDf=$run/mine' '-D --pid-file $run/mine' \
	    '-D --pid-file=$run/mine' '-t host -DUf $run/mine' '-D -f "$run/mine"' '-D -m 1400 -f $run/mine'; do
		echo 41 >"$run/mine"
		service "$broker
run=$run
dtcpclient_flags=\"$(printf '%s\n' "$words" | sed 's/"/\\"/g')\"" status
		same "the pid file follows the flags: $words" "dtcpclient is running as pid 41." "$said"
	done
	echo 42 >"$run/dtcpclient.pid"
	# shellcheck disable=SC2016
	for words in '-D -u f$run/mine' '-Duf$run/mine' '-Dl -s -f$run/mine' '-D --user --pid-file=$run/mine' \
	    '-D --script -f --mtu 1400'; do
		service "$broker
run=$run
dtcpclient_flags=\"$words\"" status
		same "a value that looks like -f is none: $words" "dtcpclient is running as pid 42." "$said"
	done
	rm -f "$run"/*
	refuses "a pid file with a blank is refused, as rc.subr cannot read it" "$broker
dtcpclient_flags='-D -f \"$run/a b\"'" "must be an absolute path without blanks or quotes" start
	refuses "a pid file below no directory in particular is refused" "$broker
dtcpclient_flags='-D -f mine'" "must be an absolute path without blanks or quotes" start

	# Modules
	for words in -DlU "-Dl -U" "-D --udp" "-Ut network" "-D -b 5000 -U"; do
		service "$broker
dtcpclient_flags='$words'" start
		same "a tunnel in UDP needs netgraph's modules: $words" "kldload ng_socket
kldload ng_iface
kldload ng_ksocket" "$(printf '%s\n' "$did" | grep kldload)"
	done
	for words in "-Du U" "-DuU" "-Db -U" "-DB -U" "-Dm -U" "-Dp -U" "-Ds -U" "-Dt -U" \
	    "-D --auth-file -U" "-D --mtu -U" "-D --nat-port -U" "-D --port -U" "-D --script -U" \
	    "-D --tunnel-type -U" "-D --udp-port -U" "-D --user --udp"; do
		service "$broker
dtcpclient_flags='$words'" start
		same "a value that looks like -U is none: $words" "kldload if_gif" "$(printf '%s\n' "$did" | grep kldload)"
	done
	RC_JAILED=yes
	export RC_JAILED
	service "$broker" start
	same "in a jail no module is asked for" "dtcpclient [-t] [network] [-Dl] [broker.example.net]" "$did"
	unset RC_JAILED
	service "$broker
dtcpclient_svcj=YES" start
	same "a service jail is declined" "kldload if_gif
dtcpclient [-t] [network] [-Dl] [broker.example.net]" "$did"

	# A running one
	echo 43 >"$run/dtcpclient.pid"
	service "$broker" reload
	same "reload sends SIGHUP" "kill -HUP 43" "$did"
	service "$broker" info
	same "info sends SIGINFO" "kill -INFO 43" "$did"
	says "... and says where the answer is" "syslog" "$said"
	service "$on" restart
	says "a restart without a server is refused" "dtcpclient_server is not set" "$said"
	same "... before the running one is stopped" "" "$did"
	service "$on" stop
	same "stop works without a server" "kill -TERM 43" "$did"
	service "$broker
dtcpclient_flags='-Dl; touch harm'" stop
	same "stop works whatever the flags" "kill -TERM 43" "$did"
	rm -f "$run"/*
	service "$broker" info
	says "info of none says so" "dtcpclient not running?" "$said"
	service "$broker" extracommands
	same "reload and info are its extra commands" "reload info" "$said"

	# Profiles
	service "$two" start
	same "each profile is started with its own variables, or the general ones" "kldload if_gif
dtcpclient [-t] [network] [-Dl] [-f] [$run/dtcpclient.home.pid] [-u] [alice] [broker.example.net]
kldload ng_socket
kldload ng_iface
kldload ng_ksocket
dtcpclient [-t] [host] [-Dl] [-U] [-f] [$run/dtcpclient.work.pid] [-u] [bob] [work.example.org]" "$did"
	same "... and is announced" "===> dtcpclient profile: home
===> dtcpclient profile: work" "$said"
	service "$two" start work
	same "one profile can be started alone" "1" "$(printf '%s\n' "$did" | grep -c '^dtcpclient')"
	echo 51 >"$run/dtcpclient.home.pid"
	echo 52 >"$run/dtcpclient.work.pid"
	service "$two" reload
	same "each profile has a pid file of its own" "kill -HUP 51
kill -HUP 52" "$did"
	service "$two" faststop work
	same "one profile can be stopped alone" "kill -TERM 52" "$did"
	service "$two
dtcpclient_home_enable=NO" onestatus
	says "status goes through all of them" "dtcpclient is running as pid 52." "$said"
	rm -f "$run"/*
	service "$two
dtcpclient_home_enable=NO" start
	same "a profile can be disabled" "1" "$(printf '%s\n' "$did" | grep -c '^dtcpclient')"
	says "... and says by which variable" "Set dtcpclient_home_enable to YES" "$said"
	service "$two
dtcpclient_enable=NO
dtcpclient_work_enable=YES" start
	says "a profile alone can be enabled" "[work.example.org]" "$did"
	echo 61 >"$run/other"
	service "$two
dtcpclient_work_flags='-Dlf $run/other'" status work
	same "a profile's own -f is its pid file" "dtcpclient is running as pid 61." "$said"
	service "$two
dtcpclient_work_flags='-Df $run/none'" start work
	says "... and is given once" "[-Df] [$run/none] [-u] [bob]" "$did"
	refuses "-f for all profiles is refused" "$two
dtcpclient_flags='-Df $run/all'" "move it to dtcpclient_home_flags" start home
	service "$two
dtcpclient_server=" start
	says "a profile without a server says what to set" "dtcpclient_home_server is not set" "$said"
	says "... and the next one is started" "[work.example.org]" "$did"
	same "... and the failure counts" "1" "$status"
	refuses "a profile that is not listed is refused" "$two" "there is no profile 'hom'" start hom
	refuses "a profile where there are none is refused" "$broker" "there is no profile 'home'" start home
	refuses "a profile's name is a word" "$two
dtcpclient_profiles='a-b'" "'a-b' is not a valid profile name" start
	service "$two
dtcpclient_work_server='a b'\\''c'
dtcpclient_work_flags=-D" start work
	says "a profile's values keep their blanks and quotes" "[a b'c]" "$did"
	service "$two" rcvar
	same "what is not about a tunnel is not done for each" "dtcpclient_enable=YES" "$said"
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
