# A session of an ordinary SSH client, in the image's root, as the user whose name was given. Run by enter.sh; $1 and $2 are "-c" and
# a command, or there are none: then it is a login.
. smolvm/account.sh
find_account "$USER"
[ "$account_id" ] || { echo "This machine has no user $USER." >&2 && exit 1; }
command=$2

# The image needs no such server, nor a library for it.
serve_files() {
	set -- --library-path smolvm/libraries smolvm/sftp-server -d "$HOME"
	[ -d "$HOME" ] || set -- --library-path smolvm/libraries smolvm/sftp-server -d /
	if [ "$account_id" = 0 ]; then exec smolvm/loader "$@"; fi
	exec smolvm/busybox su -s smolvm/loader -- "$USER" "$@"
}

greet() {
	if [ -f /etc/motd ] && [ ! -e .hushlogin ]; then cat /etc/motd; fi
}

# Its path alone: a command with more words only ends as it does.
case $command in *[!A-Za-z0-9_./-]*) ;; */sftp-server) serve_files ;; esac
[ -z "$SSH_TTY" ] || [ "$account_id" = 0 ] || chown "$account_id" "$SSH_TTY"
rescue=''
if [ "$account_id" = 0 ] && [ ! -x "$SHELL" ]; then # for root alone: every session is root's until `su`
	# Better than none: busybox, whose shell knows its own programs. It can be reached from here only where there is no /proc.
	rescue=smolvm/busybox
	[ -e /proc/self/exe ] && rescue=/proc/self/exe
fi
[ "$rescue" = smolvm/busybox ] || go_home
if [ $# -gt 0 ]; then
	if [ "$rescue" ]; then exec -a sh $rescue -c "$command"; fi
	if [ "$account_id" = 0 ]; then exec -a "${SHELL##*/}" "$SHELL" -c "$command"; fi
	exec su -s "$SHELL" -- "$USER" -c "$command"
fi
greet
if [ "$rescue" ]; then exec -a -sh $rescue; fi
if [ "$account_id" = 0 ]; then exec -a "-${SHELL##*/}" "$SHELL"; fi
exec su -s "$SHELL" -- "$USER" -l
