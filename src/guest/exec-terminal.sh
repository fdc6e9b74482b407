# The start of a command in a terminal: it is part of the request, because a terminal would echo a line on stdin. The SSH
# server has made a session of its own for it, which this shell leads to the end: dropbear hangs up as soon as the
# leader has ended, and what the terminal still holds of the output, up to some 16 KiB, is lost.
# $1 a word nobody else knows, $2 the command's cgroup ("" for none), $3 login, raw or interactive, $4 the command,
# $5 the name of a file for notes.
: "${SHELL:=/bin/sh}"
group=$2
[ -e /sys/fs/cgroup/cgroup.procs ] || group=''
note=/tmp/$5
true 2>/dev/null >"/run/$5" && note=/run/$5
# Signals from the keyboard are the command's, which has its own way with them: a trap is not inherited.
trap : INT QUIT TERM
# The shell's remark on a child that a signal killed goes into the notes: that tells "killed" from "exit 137".
exec 8>&2 2>"$note"
(
	exec 2>&8 8>&-
	if [ -n "$group" ]; then
		{ echo 0 >"$group/cgroup.procs" || { mkdir -p "$group" && echo 0 >"$group/cgroup.procs"; }; } 2>/dev/null
	fi
	# Here no trap catches a key any more: nothing is typed before this is heard.
	printf '\001%s ready %s\n' "$1" $$
	case $3 in
	login) exec "$SHELL" -l -c "$4" "${SHELL##*/}" ;;
	raw) exec /bin/sh -c "$4" sh ;;
	interactive) eval "$4" ;;
	esac
)
status=$? killed=0
[ $status -gt 128 ] && [ -s "$note" ] && killed=1
# What it left running goes where nobody kills it.
moved=${group:+1}
while [ -n "$moved" ]; do
	moved=
	while read -r pid; do
		echo "$pid" >"${group%/*/*}/background/cgroup.procs" && moved=1
	done <"$group/cgroup.procs"
done
printf '\001%s end %s %s\n' "$1" $status $killed
exec sleep 2147483647
