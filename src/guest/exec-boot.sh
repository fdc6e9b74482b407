# The start of every command: sent as the exec request, run by whatever POSIX shell the SSH server starts.
# $1 a word nobody else knows, $2 the command's cgroup ("" for none), $3 login or raw.
# Goes into the cgroup and into a process group of its own, says so on stdout, and becomes the shell that reads the
# command: one line of shell code on stdin, made by src/ssh/shell-code.ts. What follows that line is the command's stdin.
nl='
'
: "${SHELL:=/bin/sh}"
group=0
if [ -n "$2" ] && [ -e /sys/fs/cgroup/cgroup.procs ]; then
	{ echo 0 >"$2/cgroup.procs" || { mkdir -p "$2" && echo 0 >"$2/cgroup.procs"; }; } 2>/dev/null && group=1
fi

# dropbear leaves commands in its own process group: a script's `kill 0` would end the connection. bash makes a group
# of its own as it turns job control on; others need setsid, which costs one more exec. Without a cgroup the session
# is what a command is ended by.
own=
if [ $group = 1 ] && [ -n "$BASH_VERSION" ]; then
	set -m
	set +m
elif command -v setsid >/dev/null; then
	own=setsid
fi

# Where stdout and stderr lead, so that the keeper can go on reading what a process left behind writes.
out= err=
while read -r key value; do [ "$key" = ino: ] && out=$value; done </proc/$$/fdinfo/1
while read -r key value; do [ "$key" = ino: ] && err=$value; done </proc/$$/fdinfo/2
echo "$1 $$ $group ${out:-0} ${err:-0}"

reader='IFS= read -r __l||{ echo "$2 gone">&2;exit 1;};eval "$__l"'
if [ "$3" = raw ]; then exec $own /bin/sh -c "$reader" sh "$nl" "$1"; fi

# The profile sees an empty stdin: it can't take the command's line away.
exec 9<&0 </dev/null
case ${SHELL##*/} in
sh | bash | dash | ash | busybox | ksh | mksh)
	exec $own "$SHELL" -l -c "exec <&9 9<&-;$reader" "${SHELL##*/}" "$nl" "$1"
	;;
esac
# Another language: /bin/sh reads the line and hands the script on.
exec $own /bin/sh -c "exec <&9 9<&-;__r='exec $SHELL -l -c';$reader" sh "$nl" "$1"
