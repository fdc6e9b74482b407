# The start of a command in a terminal: it is part of the request, because a terminal would echo a line on stdin. The SSH
# server has made a session of its own for it.
# $1 a word nobody else knows, $2 the command's cgroup ("" for none), $3 login, raw or interactive, $4 the command.
: "${SHELL:=/bin/sh}"
if [ -n "$2" ] && [ -e /sys/fs/cgroup/cgroup.procs ]; then
	{ echo 0 >"$2/cgroup.procs" || { mkdir -p "$2" && echo 0 >"$2/cgroup.procs"; }; } 2>/dev/null
fi
printf '\001%s ready %s\n' "$1" $$
case $3 in
login) exec "$SHELL" -l -c "$4" "${SHELL##*/}" ;;
raw) exec /bin/sh -c "$4" sh ;;
interactive) eval "$4" ;;
esac
