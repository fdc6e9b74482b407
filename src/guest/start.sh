# How a command starts: for worker.sh and exec-terminal.sh, which set before: token, session (what starts a program in a session of its
# own, or nothing), nl, note (a file for notes), group and background (cgroups), chowned; and account_id by account.sh. Set with the command: user, folder, values (its variables, as NAME='value' …),
# each of which may be empty.
# A profile may have redefined whatever a shell looks up: commands, aliases, options, descriptors. So a login shell is told
# nothing but what its language itself does, and each word of ours is quoted, which no alias is.

# A file that the command's shell empties when the command begins, which a shell can do without any command. "" where none can be made. A
# file of another user is removed: a process that has it open could still write to it. $note.waits says of the child before, which a worker of
# the same name may have left, that it was a shell that waits.
arm() { # name
	[ ! -s "$note.waits" ] || true >"$note.waits"
	for mark in "/run/$1.mark" "/tmp/$1.mark" ''; do
		[ "$mark" ] || break
		[ -f "$mark" ] || [ ! -e "$mark" ] || continue # a fifo would hold this up
		[ "$account_id" != 0 ] || [ -O "$mark" ] || [ ! -e "$mark" ] || rm "$mark"
		echo 1 >|"$mark" && break
	done
	[ "$account_id" = 0 ] || [ "$mark" = "$chowned" ] || chown "$account_id" "$mark" && chowned=$mark
} 2>&-

# Only the file that was armed says that the command has not begun: what the guest has put in its place says nothing. A process of
# another user is not to know our word, and writes there why.
has_begun() {
	[ -s "$mark" ] && [ -f "$mark" ] || return 0
	[ -s "$note.waits" ] || { was_read && return; }
	read -r -n 4 why <"$mark"
	[ "$why" != cwd ] || printf '\001%s cwd\n' "$token" >&8
	return 1
}

# A restricted shell may write to no file, and reads it instead. Such a shell never waits: it is asked, which takes a program, only where none
# has waited.
was_read() {
	times=$(stat -c '%x|%y' "$mark") && [ "${times%|*}" \> "${times#*|}" ]
}

# What the command of $group left running goes to $background, where nobody kills it.
set_free() {
	moved=1
	while [ $moved = 1 ]; do
		moved=0
		while read -r pid; do
			echo "$pid" >"$background/cgroup.procs" && moved=1
		done <"$group/cgroup.procs"
	done
}

never() { # why
	printf '\001%s %s\n' "$token" "$1" >&2
	exit 1
}

# So many bytes of what follows the line.
take() {
	dd bs="$1" count=1 iflag=fullblock status=none || never gone
}

# Nothing to read. Where somebody has removed /dev/null, a pipe that nobody writes to.
no_input() {
	if [ -c /dev/null ]; then
		exec </dev/null
	else
		exec <<!
!
	fi
}

# Its command can open /dev/stdin and the like only where they are its own.
take_user() { # name
	[ -f /etc/passwd ] || [ ! -e /etc/passwd ] || never 'user unknown' # a fifo would hold this up
	find_user "$1" || ask_for_user "$1" || never 'user unknown'
	[ "$name.$account_id" != "$LOGNAME.0" ] || return 0 # its shell is known, also where it has none
	user=$name SHELL=$listed listed=${listed:-/bin/sh}
	case ${SHELL##*/} in nologin | false | '') SHELL=/bin/sh ;; esac
	[ "$user" != "$LOGNAME" ] || user=''
	[ "$user" ] || return 0
	[ "$account_id" = 0 ] || never 'user denied'
	[ -z "$mark" ] || chown "$uid" "$mark"
	[ ! -e /proc/self/fd ] || chown "$uid" /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2
}

# Sets name, uid, gid, home and listed (the shell). It reads as account.sh does, which in an older image does not give the group.
find_user() { # name
	lines=0
	while [ $lines -lt 5000 ] && { IFS=: read -r -n 4096 name _ uid gid _ home listed || [ "$name" ]; }; do
		[ "$name" != "$1" ] || return 0
		lines=$((lines + 1))
	done </etc/passwd
	return 1
} 2>&-

# One that is not in that file, or is named by its number.
ask_for_user() { # name
	entry=$(getent passwd "$1" 2>&-) && [ "$entry" ] && IFS=: read -r name _ uid gid _ home listed <<!
$entry
!
}

# Becomes a program of the image, as its user: the one place where that is done.
become() { # program and arguments
	if [ -z "$user" ] && [ "$account_id" = 0 ]; then
		settle
		set -- "$session" "$@" # what is set now may have any name
		eval "$before"
		launch "$@"
	fi
	set -- /bin/sh -c "$settle;"'eval "$2";shift 3;exec "$@"' sh "$folder" "$before" "${mark:+echo cwd 1<>$mark}" "$@"
	if [ -z "$user" ]; then exec $session su -s /bin/sh -c 'exec "$@"' -- "$LOGNAME" sh "$@"; fi
	take_environment
	if /usr/bin/setpriv --reuid "$uid" --regid "$gid" --init-groups true 2>&-; then # with its path, for busybox has one that can't do it
		exec $session /usr/bin/setpriv --reuid "$uid" --regid "$gid" --init-groups "$@"
	fi
	# busybox: `su` becomes the shell; what follows the code are its parameters.
	exec $session su -s /bin/sh -c 'exec "$@"' -- "$user" sh "$@"
}

# As `setpriv --reset-env` has it, which would drop the variables that are carried.
take_environment() {
	unset OLDPWD SSH_CLIENT SSH_CONNECTION SSH_PUBKEYINFO SSH_TTY
	PATH=/usr/local/bin:/usr/bin:/bin
	[ "$uid" != 0 ] || PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	export USER="$user" LOGNAME="$user" HOME="$home" SHELL="$listed" PATH
}

# $1 the folder, $3 what says that there is none such; where it is empty, `cd` does
settle='cd 2>&-||cd /;[ -z "$1" ]||cd "$1" 2>&-||{ [ "$3" ]||cd "$1";eval "$3";exit 1;};unset OLDPWD'
settle() {
	set -- "$folder" '' 'never cwd'
	eval "$settle"
}

# Its path is looked up here: by its name alone this shell, busybox, would take one of its own. What a command has among its
# variables may have any name by now, but for those that begin with __smolvm.
launch() { # setsid or nothing, program and arguments
	case $2 in
	/proc/self/exe)
		shift 2
		exec -a sh /proc/self/exe "$@"
		;;
	*/*)
		[ "$1" ] || shift
		exec "$@"
		;;
	esac
	__smolvm_rest=$PATH:
	while [ "$__smolvm_rest" ]; do
		__smolvm_at=${__smolvm_rest%%:*}
		__smolvm_at=${__smolvm_at:-.}/$2
		__smolvm_rest=${__smolvm_rest#*:}
		[ -f "$__smolvm_at" ] && [ -x "$__smolvm_at" ] || continue
		__smolvm_name=$2 __smolvm_session=$1
		shift 2
		if [ "$__smolvm_session" ]; then exec setsid "$__smolvm_at" "$@"; fi
		exec -a "$__smolvm_name" "$__smolvm_at" "$@"
	done
	echo "sh: 1: exec: $2: not found" >&2 # as a shell that waits says it
	exit 127
}

# One word for a shell, in $quoted.
quote() {
	rest=$1 quoted=''
	while :; do
		case $rest in *\'*) ;; *) break ;; esac
		quoted="$quoted${rest%%\'*}'\\''"
		rest=${rest#*\'}
	done
	quoted="'$quoted$rest'"
}

# Sets shell, and what all kinds of it need: begin empties the file, whole is the folder as one word.
choose() { # login or raw
	kind=$1 shell=/bin/sh whole='' begin=${mark:+">|$mark"} before=''
	if [ "$1" = login ]; then
		[ "$account_id.$user" != 0. ] || [ -x "$SHELL" ] || SHELL=/bin/sh # it has gone since it was looked up
		shell=$SHELL
	fi
	case $folder in
	'' | /*) ;;
	*) folder=${home:-$HOME}/$folder ;;
	esac
	if [ ! -f "$shell" ] || [ ! -x "$shell" ]; then
		[ "$1.$user$account_id" = raw.0 ] || never shell
		shell=/proc/self/exe # busybox, which is better than none
	fi
	[ "$1" = raw ] || [ -z "$folder" ] && return
	quote "$folder"
	whole=$quoted
}

# "${1}", "${2}" … up to $1, in $list, with $2 behind each: words of their own, or the pieces of one.
positions() {
	list='' n=0
	while [ $((n += 1)) -le "$1" ]; do list="$list\"\${$n}\"$2"; done
}

# A script, in pieces where it is longer than a word may be.
script() { # login or raw, pieces
	choose "$1"
	shift
	IFS=''
	text=$*
	unset IFS
	in_language "$@"
}

# A program with its arguments, which no shell reads.
program() { # login or raw, words
	choose "$1"
	shift
	case $1 in -*) set -- env -- "$@" ;; esac # else it would be an option of `exec`
	text=''
	if [ "$kind" = login ]; then in_language "$@"; fi
	begin_at_once
	become "$@"
}

# The variables go by the environment: everybody in the guest can read a command line, and nobody else what is in there. There they are in
# pieces, none longer than Linux allows (bytes are counted here), with names of ours: for a profile may come before. $lent is what sets them, where there are some.
carry() { # what stands before each builtin, and behind each command
	lent='' carried='' pieces=0
	while [ "$values" ]; do
		export "__smolvm_$((pieces += 1))=${values:0:100000}"
		values=${values:100000}
		lent="$lent\${__smolvm_$pieces}" carried="$carried __smolvm_$pieces"
	done
	lent=${lent:+"$1eval \"\\$1export $lent$2\"$2;$1unset$carried$2;"}
}

# Where no profile comes before, or none that is understood.
begin_at_once() {
	carry
	before=$lent$begin
}

# An interactive shell.
interactive() {
	choose login
	begin_at_once
	become "$shell" -l
}
