# Becomes another user of the guest, and then the shell that reads the command, as in worker.sh.
# Evaluated with these set: $user, $kind (login, raw or interactive), $nl, $guard, $token and $reader, or, in a terminal,
# $code: the command itself, for there it does not come by stdin.
refuse() {
	printf '\001%s user %s\n' "$token" "$1" >&2
	exit 1
}
entry=$(getent passwd "$user" 2>/dev/null || grep "^$user:" /etc/passwd) || refuse unknown
set -f
IFS=:
set -- $entry
unset IFS
set +f
name=$1 uid=$3 gid=$4 home=$6 shell=$7
case ${shell##*/} in nologin | false | '') shell=/bin/sh ;; esac
reader=${code:-$reader}
if [ "$kind" = login ] && [ -z "$code" ]; then
	exec 9<&0 </dev/null
	reader="exec <&9 9<&-;$reader"
fi
case $kind in
interactive) set -- /bin/sh -c "SHELL='$shell';$reader" sh ;;
login) set -- "$shell" -l -c "$reader" "${shell##*/}" "$nl" "$guard" ;;
raw) set -- /bin/sh -c "$reader" sh "$nl" "$guard" ;;
esac
if [ "$name" = "$LOGNAME" ]; then exec "$@"; fi
[ -O / ] || refuse denied
if setpriv --reuid "$uid" --regid "$gid" --init-groups true 2>/dev/null; then
	exec setpriv --reuid "$uid" --regid "$gid" --init-groups --reset-env "$@"
fi
# busybox: `su` becomes the shell; what follows the code are its parameters.
exec su -s /bin/sh -c 'exec "$@"' -- "$name" sh "$@"
