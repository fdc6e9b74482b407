# A worker: a shell on an SSH channel of its own that runs one command after the other, each in a child which is forked
# ahead of time and waits for its line on stdin. So a command costs neither a channel nor a process of the SSH server.
# $1 a word nobody else knows, $2 the workers' cgroup, $3 the command's cgroup ("" and "" for none), $4 the name of a file
# for notes.
# A line of \001, that word and more tells the host what happens; everything else on stdout and stderr is the command's.
# Commands are not to see by which way they came.
unset __script _ SSH_CLIENT SSH_CONNECTION SSH_PUBKEYINFO 2>/dev/null
token=$1 own=$2 group=$3 note=$4
background=${own%/*/*}/background
nl='
'
: "${SHELL:=/bin/sh}"
# Waits for the command: a line of a word that says for whom it is, and shell code. $1 a newline, $2 its own word, $3 not
# empty where it was started ahead of time. All that can be done before the line comes is done before. In one line, so that the
# command's lines are counted from 1.
reader='[ . -ef ~ ]||cd 2>/dev/null||cd /;IFS=" " read -r __g __l&&[ "$__g" = "#$2" ]||exit 97;'
reader=$reader'[ -z "$3" ]||echo 0 >/proc/$$/oom_score_adj;case $__l in *\$__n*)__n=$1;;esac;set --;eval "unset __g __l;$__l"'
spare=''
once=''
trap 'once=1 woken=1' USR1

# The shell's remark on a child that a signal killed goes into the notes: that tells "killed" from "exit 137".
exec 8>&2 2>/dev/null
if true >"/run/$note"; then note=/run/$note; elif true >"/tmp/$note"; then note=/tmp/$note; else note=/dev/null; fi
exec 2>"$note"

# Without cgroups a command is ended by its session, and what it left running can't be told from nobody: the channel
# can't be used again.
session=''
if [ -n "$group" ] && [ -e /sys/fs/cgroup/cgroup.procs ]; then
	[ -d "$group" ] && [ -d "$own" ] || mkdir -p "$group" "$own" "$background"
	echo 0 >"$own/cgroup.procs"
else
	group='' once=1
	command -v setsid >/dev/null && session=setsid
fi

# What the child may be told to become: the shells that read the command itself as their line. $1 tells them that it is
# meant for them. The profile sees an empty stdin: it can't take that line away.
raw() {
	exec $session /bin/sh -c "$reader" sh "$nl" "$1" "$spare"
}
login() {
	exec 9<&0 </dev/null
	case ${SHELL##*/} in
	sh | bash | dash | ash | busybox | ksh | mksh)
		exec $session "$SHELL" -l -c "exec <&9 9<&-;$reader" "${SHELL##*/}" "$nl" "$1" "$spare"
		;;
	esac
	# A shell of another language: /bin/sh reads the line and hands it the script.
	exec $session /bin/sh -c "exec <&9 9<&-;__r='exec $SHELL -l -c';$reader" sh "$nl" "$1" "$spare"
}

# One that is started ahead of time is the first to go where memory runs out, until it has a command.
ahead() {
	echo 1000 >/proc/self/oom_score_adj && spare=1
	"$@"
}

# A line came here because the shell that it was meant for has ended. What follows it must not be read as lines.
gone() {
	printf '\001%s gone\n' "$token" >&8
	exit
}

child() {
	if [ -n "$group" ]; then
		echo 0 >"$group/cgroup.procs"
	else
		read -r pid _ </proc/self/stat
		printf '\001%s pid %s\n' "$token" "$pid"
		echo "$pid" >"$note.pid" # for the keeper, should the connection break
	fi
	IFS= read -r line && eval "$line"
}

# What the command left running goes where nobody kills it.
set_free() {
	moved=1
	while [ $moved = 1 ]; do
		moved=0
		while read -r pid; do
			echo "$pid" >"$background/cgroup.procs" && moved=1
		done <"$group/cgroup.procs"
	done
}

# The last command is over, but not whom it left running: he may still write.
linger() {
	[ "$left" = 0 ] && exit
	exec sleep 2147483647
}

printf '\001%s ready %s\n' "$token" $$
while :; do
	(child 2>&8 8>&-)
	status=$? killed=0 left=0
	if [ $status -gt 128 ] && [ -s "$note" ]; then
		killed=1
		true >"$note"
	fi
	if [ -n "$group" ]; then
		read -r _ left <"$group/cgroup.events"
		[ "$left" = 0 ] || set_free
	else
		true >"$note.pid" # whom it left running goes on, whatever becomes of the connection
	fi
	printf '\001%s\n' "$token" >&8
	printf '\001%s end %s %s %s\n' "$token" $status $killed $left
	[ -z "$once" ] || linger

	# Waits for a word: the next child is forked when the host has what it waits for. Meanwhile whom the command left
	# running may write: his pipes are open as long as this shell is there.
	while :; do
		# Whoever is to be ended before his child is there is ended then: being woken is not the end of the input.
		until IFS= read -r word; do
			[ -n "$woken" ] && woken='' || exit
		done
		case $word in
		'') break ;;
		ping) printf '\001%s pong\n' "$token" ;;
		quit) exit ;;
		*) gone ;;
		esac
	done
done
