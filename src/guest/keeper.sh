# The keeper: one shell for each connection, which ends commands. Builtins only, so that it works where nothing can be
# forked any more. Lines in: "ID VERB ARGUMENTS…"; lines out: "ID ANSWER…". When its stdin ends, the host or the
# connection is gone, and every command of this connection dies with it. What a command that ended left behind lives on.
# $1 the user whose commands these are, $2 the connection's cgroup, $3 how the names of the workers' files of notes begin. Further pairs
# of the latter are connections that broke, perhaps before their keeper was there.
unset __script
account=$1 base=$2 notes=$3
shift 3
background=${base%/*}/background keepers=${base%/*}/keepers
trap '' PIPE HUP TERM INT

cgroups=0
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
	mkdir -p "$base/workers" "$base/1" "$base/2" "$base/3" "$base/4" "$background" "$keepers" 2>/dev/null
	[ -e "$base/4/cgroup.kill" ] && cgroups=1
fi
{ echo -500 >/proc/$$/oom_score_adj; } 2>/dev/null

# Everybody who is none of ours is in one cgroup, which counts the time for which they have run: a shell that was started ahead of time
# is as good as a new one as long as it stands still. What is started later inherits it. The kernel's own threads, which have no program, stay where they are.
set_apart() {
	if mkdir /sys/fs/cgroup/sessions; then
		while read -r pid; do
			[ "$pid" != 1 ] && [ -e "/proc/$pid/exe" ] && echo "$pid" >/sys/fs/cgroup/sessions/cgroup.procs
		done </sys/fs/cgroup/cgroup.procs
	fi
	# So the keepers and the servers of their connections have the processor in turn, however many processes a command has.
	echo +cpu >"${base%/*}/cgroup.subtree_control"
	[ $PPID = 1 ] || echo $PPID >"$keepers/cgroup.procs" # the connection has gone already: PID 1 is to stay where it is
	echo $$ >"$keepers/cgroup.procs"
} 2>/dev/null
[ $cgroups = 1 ] && set_apart

# The image's own word on the login shell, where its passwd is no link that would lead elsewhere from here.
look_up() {
	root=0 shell=unknown lines=0
	[ "$account" = root ] && root=1
	[ ! -L /image/etc ] && [ ! -L /image/etc/passwd ] && [ -f /image/etc/passwd ] || return
	while [ $lines -lt 5000 ] && IFS=: read -r -n 4096 name _ id _ _ _ is; do
		lines=$((lines + 1))
		[ "$name" = "$account" ] || continue
		[ "$id" = 0 ] && root=1
		[ -n "$is" ] && shell=${is##*/}
		return
	done </image/etc/passwd
}

memory() {
	total=0 free=0
	while read -r key value _; do
		case $key in
		MemTotal:) total=$value ;;
		MemAvailable:) free=$value && break ;;
		esac
	done </proc/meminfo
}

now() {
	read -r up _ </proc/uptime
	up=${up%.*}
}

# Is anything alive in command $1, whose first process was $2? Zombies don't count.
lives() {
	if [ $cgroups = 1 ]; then
		pid=
		read -r pid <"$base/$1/cgroup.procs"
		[ -n "$pid" ]
	else
		signal "$2" 0
	fi
} 2>/dev/null

# Sends signal $2 to the session and the process group of process $1. True where there was somebody.
signal() {
	found=1
	[ "${1:-0}" -gt 1 ] || return 1
	for stat in /proc/[0-9]*/stat; do
		read -r line <"$stat" || continue
		pid=${line%% *}
		set -- "$1" "$2" ${line##*) }
		[ "$5" = "$1" ] || [ "$6" = "$1" ] || continue
		[ "$3" = Z ] && continue
		kill -s "$2" "$pid" && found=0
	done
	return $found
} 2>/dev/null

# Ends all that connection $1 started, and takes away what it leaves: its cgroups, its notes $2.
bury() {
	if [ $cgroups = 1 ]; then
		echo 1 >"$1/cgroup.kill"
		for _ in 1 2 3 4 5; do
			[ -d "$1" ] || break
			rmdir "$1"/*/ "$1" && break
			sleep 0.1
		done
	fi
	for note in "/run/$2".*.pid; do
		read -r pid <"$note" && signal "$pid" KILL
	done
	rm -f "/run/$2".* "/image/run/$2".*.mark "/image/tmp/$2".*.mark
} 2>/dev/null

# By this it is found where the machine is a copy, and the connection is another machine's.
echo $$ >"/run/$notes.keeper"

# Ends command $1, whose first process is $2. Its worker $3 is not to take another one.
end() {
	[ -n "$3" ] && kill -s USR1 "$3"
	if [ $cgroups = 1 ]; then echo 1 >"$base/$1/cgroup.kill"; else signal "$2" KILL; fi
} 2>/dev/null

# Sends signal $2 to all of command $1, once. True where there was somebody. They are frozen meanwhile, or a process forked just now would
# be missed. PID 1 thaws what is frozen: then it is done again.
each() {
	found=1 told=' '
	for _ in 1 2 3; do
		echo 1 >"$base/$1/cgroup.freeze"
		signal_frozen "$1" "$2"
		frozen "$1" && break
	done
	echo 0 >"$base/$1/cgroup.freeze"
	return $found
} 2>/dev/null

# The list is read to its end first: where one of it dies, the next reading skips another.
signal_frozen() {
	tries=0 pids=''
	until frozen "$1" || [ $tries = 50 ]; do tries=$((tries + 1)); done
	while read -r pid; do pids="$pids $pid"; done <"$base/$1/cgroup.procs"
	for pid in $pids; do
		case $told in *" $pid "*) continue ;; esac
		kill -s "$2" "$pid" && found=0
		told="$told$pid "
	done
}

frozen() {
	while read -r what is; do
		[ "$what $is" = "frozen 1" ] && return
	done <"$base/$1/cgroup.events"
	return 1
}

# Is somebody alive of what commands left behind?
look_behind() {
	pid='' busy=0
	read -r pid <"$background/cgroup.procs"
	[ -n "$pid" ] && busy=1
} 2>/dev/null

# Deadlines are pairs "command:first process:uptime".
expire() {
	kept='' next=''
	for one in $due; do
		rest=${one#*:}
		at=${one##*:}
		if [ "$at" -le "$up" ]; then
			end "${one%%:*}" "${rest%%:*}"
		else
			kept="$kept $one"
			soonest "$at"
		fi
	done
	due=$kept
}

soonest() {
	[ -n "$next" ] && [ "$next" -le "$1" ] || next=$1
}

forget() {
	kept=''
	for one in $due; do
		case $one in "$1":*) ;; *) kept="$kept $one" ;; esac
	done
	due=$kept
}

# A line that is not answered in time is sent again, though mostly it had come: what was done is not done again, for somebody
# else may be there by now. They come in the order of their numbers; those that did not come are remembered.
is_new() {
	if [ "$1" -gt "$last" ]; then
		[ "$1" -le $((last + 1000)) ] || return
		while last=$((last + 1)) && [ $last -lt "$1" ]; do missing="$missing $last "; done
		return 0
	fi
	case $missing in *" $1 "*) missing=${missing%% $1 *}${missing#* $1 } ;; *) return 1 ;; esac
}

obey() {
	is_new "$1" || return
	id=$1 verb=$2
	shift 2
	case $verb in
	sync) echo "$id" ;;
	kill) end "$1" "$2" "$3" && lives "$1" "$2" && echo "$id 1" || echo "$id 0" ;;
	signal)
		[ -n "$4" ] && kill -s USR1 "$4" 2>/dev/null
		if [ $cgroups = 1 ]; then each "$1" "$3"; else signal "$2" "$3"; fi && echo "$id 1" || echo "$id 0"
		;;
	dismiss)
		kill -s KILL "$1"
		echo "$id"
		;;
	due)
		now
		due="$due $1:$2:$((up + $3))"
		soonest $((up + $3))
		echo "$id"
		;;
	forget)
		forget "$1"
		echo "$id"
		;;
	quiet)
		memory
		look_behind
		echo "$id $busy $free"
		;;
	esac
}

# Moving a process to another cgroup waits for an RCU grace period, some 8 ms, unless the mount says otherwise (Linux 6.0).
hasten() {
	while read -r _ where _ options _; do
		case "$where $options" in
		"/sys/fs/cgroup "*favordynmods*) return ;;
		"/sys/fs/cgroup "*) mount -o remount,favordynmods /sys/fs/cgroup ;;
		esac
	done </proc/mounts
} 2>/dev/null
[ $cgroups = 1 ] && hasten

memory
look_up
echo "keeper $cgroups $root $shell $total $free"
while [ $# -gt 1 ]; do
	bury "$1" "$2"
	shift 2
done
due='' next='' partial='' misses=0 last=0 missing=''
while :; do
	line=''
	if [ -n "$due" ]; then
		read -t 1 -r line
	else
		read -r line
	fi
	if [ $? = 0 ]; then
		misses=0
		obey $partial$line
		partial=
	else
		# Time is up or the input ended; busybox doesn't tell which. Input that has ended can be read at once.
		[ -n "$due" ] || break
		partial=$partial$line
		read -t 0 -r line && misses=$((misses + 1))
		[ $misses -gt 2 ] && break
	fi
	[ -n "$due" ] && now && [ "$up" -ge "$next" ] && expire
done 2>/dev/null

bury "$base" "$notes"
