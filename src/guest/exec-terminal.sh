# The start of a command in a terminal: it is part of the request, because a terminal would echo a line on stdin. The SSH
# server has made a session of its own for it, which this shell leads to the end: dropbear hangs up as soon as the
# leader has ended, and what the terminal still holds of the output, up to some 16 KiB, is lost.
# Its root is the image's, and its working directory is our own root, which the command leaves.
# $1 the command's cgroup ("" for none), $2 the command, for start.sh, $3 the name of a file for notes, $4 the user whose
# command it is, $5 the file of ours that is read as descriptor 9, or "". A word nobody else knows is typed first: the terminal
# echoes it, but only the host sees that.
. smolvm/account.sh
. smolvm/start.sh
find_account "$4"
user='' folder='' values='' before='' nl='
'
group=${1#/} note=run/$3 session='' chowned=''
arm "$3"
[ -e sys/fs/cgroup/cgroup.procs ] || group=''
background=${group%/*/*}/background
if [ "$5" ]; then
	exec 9<"run/$5"
	rm "run/$5"
fi
IFS= read -r token || exit
[ "$account_id" = 0 ] || chown "$account_id" "$SSH_TTY"
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
	printf '\001%s ready %s\n' "$token" $$
	[ "$account_id" ] || never 'user unknown'
	cd / # out of our own root
	eval "$2"
)
status=$? killed=0 begun=0
has_begun && begun=1
[ $status -gt 128 ] && [ -s "$note" ] && killed=1
[ -z "$group" ] || set_free
printf '\001%s end %s %s %s\n' "$token" $status $killed $begun
exec sleep 2147483647
