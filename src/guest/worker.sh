# A worker: a shell on an SSH channel of its own that runs one command after the other, each in a child which is forked
# ahead of time and waits for its line on stdin. So a command costs neither a channel nor a process of the SSH server.
# Its root is the image's, and its working directory is our own root, where its notes and the cgroups are; its children leave it.
# $1 the workers' cgroup, $2 the command's cgroup ("" and "" for none), $3 the name of a file for notes, $4 the user whose
# commands these are. The first line on stdin is a word nobody else knows: everybody in the guest can read a command line.
# A line of \001, that word and more tells the host what happens; everything else on stdout and stderr is the command's.
# Commands are not to see by which way they came.
. smolvm/account.sh
. smolvm/start.sh
unset __script _ SSH_CLIENT SSH_CONNECTION SSH_PUBKEYINFO
own=${1#/} group=${2#/} note=run/$3 account=$4 chowned=''
# What is known of the account is known since the time of this file.
look_up() {
	true >"$note.since"
	find_account "$account"
	chowned=''
}
# A passwd that was moved to its place may be as old as it likes: that shows in the folder. One that was written over and has its old time
# again shows a moment later, in our own list of names.
is_known() {
	[ "$note.since" -nt /etc/passwd ] && [ "$note.since" -nt /etc ] && [ "$note.since" -nt etc/passwd ]
}
look_up
IFS= read -r token || exit
background=${own%/*/*}/background
nl='
'
# What a shell that is started ahead of time does when it has read its profile: it reads our word, says that it waits, and runs what its line
# has: a word that says which shell it is for, a word of letters behind a "-", and the script. The letters: "c", it is code that sets the
# script, "e", the input is empty, "b", to say that the script begins. $1 is our word then, $2 its own word, $3 the file that counts the time
# of everybody else, $4 its line as this shell was started (both empty where there is none), $5 a newline, $6 the file to empty. The line
# comes on descriptor 7. What made this shell the first to go where memory runs out is set back. Where anything is not as it should be the
# shell ends, and the command gets one of its own. In one line, so that the script's lines are counted from 1.
# A shell reads a line byte by byte: what is the same for each command stands here, and not in the line. A shell that has not been at work for
# a while pays as much for each step as for ten bytes: so the most ordinary line has to meet one test.
# Without bash: special builtins can't be redefined, and `command` finds the others. Where the profile has made a function of `command`,
# everything is empty, and `case` tells. A shell that gives up runs no trap of the profile's.
leave='{ \trap - EXIT;\exit;};'
posix='\command test "${-#*[rvx]}" = "$-"||'$leave'IFS=" " \command read -r __smolvm_g <&7||'$leave'\set -- "$__smolvm_g" "$@";'
posix=$posix'{ __smolvm_g= __smolvm_k= __smolvm_l= __smolvm_u=;} 2>&-;\command printf "\001$1 waits\n";'
posix=$posix'{ IFS=" " \command read -r __smolvm_g __smolvm_k __smolvm_l <&7;IFS= \command read -r __smolvm_u <"$3";'
posix=$posix'\command echo 0 >|/proc/self/oom_score_adj;'
posix=$posix'case "$__smolvm_g $__smolvm_k $__smolvm_u" in "#$2 -e $4") >|"$6"&&\exec 7<&-;;*)! \:;;esac;} 2>&-||{ '
posix=$posix'case "$__smolvm_g $__smolvm_u$__smolvm_k" in "#$2 $4-"*);;*)'$leave'esac;'
posix=$posix'\command test "${__smolvm_k#*c}" = "$__smolvm_k"||\eval "$__smolvm_l"||'$leave
posix=$posix'{ \command test "${__smolvm_k#*e}" = "$__smolvm_k"&&\exec <&7;\exec 7<&-;} 2>&-;'
posix=$posix'\command test "${__smolvm_k#*b}" = "$__smolvm_k"||{ \command printf "\001$1 begun\n";\command printf "\001$1 begun\n" >&2;};'
posix=$posix'{ >|"$6";} 2>&-;};'
posix=$posix'\set -- "$__smolvm_l";\unset __smolvm_g __smolvm_k __smolvm_l __smolvm_u;\eval "\\set --;$1"'
# In bash a function may have any name. Here it is made sure that `builtin` is none, nor `exec`, of which `builtin` undoes what it does to
# descriptors; and that no trap sees what is ours: where the profile has set one for DEBUG or EXIT the shell ends before it waits, and that
# trap runs. `$_` is what the command before ended with.
bash='{ \builtin export -f builtin >&-&&${__smolvm?};\builtin export -f exec >&-&&${__smolvm?};\builtin trap -p DEBUG EXIT >&-||${__smolvm?};'
bash=$bash'\builtin test "${-#*[rvx]}" = "$-"||${__smolvm?};IFS=" " \builtin read -r -u 7 __smolvm_g||${__smolvm?};'
bash=$bash'BASH_EXECUTION_STRING= __smolvm_k= __smolvm_l= __smolvm_u=;} 2>&-;'
bash=$bash'\builtin set -- "$__smolvm_g" "$@";\builtin printf "\001$1 waits\n";'
bash=$bash'{ IFS=" " \builtin read -r -u 7 __smolvm_g __smolvm_k __smolvm_l;IFS= \builtin read -r __smolvm_u <"$3";'
bash=$bash'\builtin echo 0 >|/proc/self/oom_score_adj;'
bash=$bash'\builtin test "$__smolvm_g $__smolvm_k $__smolvm_u" = "#$2 -e $4"&& >|"$6"&&\exec 7<&-;} 2>&-||{ '
bash=$bash'\builtin test "$__smolvm_g $__smolvm_u" = "#$2 $4"||{ ${__smolvm?};} 2>&-;'
bash=$bash'\builtin test "${__smolvm_k#*c}" = "$__smolvm_k"||\builtin eval "$__smolvm_l"||{ ${__smolvm?};} 2>&-;'
bash=$bash'{ \builtin test "${__smolvm_k#*e}" = "$__smolvm_k"&&\exec <&7;\exec 7<&-;} 2>&-;'
bash=$bash'\builtin test "${__smolvm_k#*b}" = "$__smolvm_k"||{ \builtin printf "\001$1 begun\n";\builtin printf "\001$1 begun\n" >&2;};'
bash=$bash'{ >|"$6";} 2>&-;};'
bash=$bash'BASH_EXECUTION_STRING=$__smolvm_l;\builtin export -n BASH_EXECUTION_STRING;'
bash=$bash'\builtin unset -v __smolvm_g __smolvm_k __smolvm_l __smolvm_u;\builtin set --;\builtin : "";\builtin eval -- "$BASH_EXECUTION_STRING"'
plain_for=''
once='' woken=''
trap 'once=1 woken=1' USR1

# A command can open /dev/stdin and the like only where they are its own.
[ "$account_id" = 0 ] || chown "$account_id" proc/self/fd/0 proc/self/fd/1 proc/self/fd/2

# The shell's remark on a child that a signal killed goes into the notes: that tells "killed" from "exit 137".
exec 8>&2 2>"$note"
# Over SSH all three are pipes of the server's: where that of stderr is empty once a child has ended, the server has read what came from it, and
# sends it before what is said on stdout then. A word on stderr too would cost a packet more. At the serial ports stderr is a pipe as well, of
# a `cat` that may hold some of it: there stdin is the port itself, and the end of stderr is said on stderr.
pipes=''
if [ -p proc/self/fd/0 ] && [ -p proc/self/fd/8 ]; then pipes=1; fi

# Without cgroups a command is ended by its session, and what it left running can't be told from nobody: the channel
# can't be used again.
session=''
if [ -n "$group" ] && [ -e sys/fs/cgroup/cgroup.procs ]; then
	[ -d "$group" ] && [ -d "$own" ] || mkdir -p "$group" "$own" "$background"
	echo 0 >"$own/cgroup.procs"
else
	group='' once=1 session=setsid
fi

# What the child may be told to become. The profile sees an empty stdin: it can't take the line away.
raw() { # its word
	set_line_apart
	become_plainly /bin/sh -c "$posix" sh "$1" "$others" "$used" "$nl" "${mark:-/dev/null}"
}
login() { # its word, the language that the host will speak
	set_line_apart
	set -- "$2" "$1" "$others" "$used" "$nl" "${mark:-/dev/null}"
	case $1.${SHELL##*/} in
	bash.bash)
		# Not as parameters of its own, which a script would find in $BASH_ARGV.
		become_plainly "$SHELL" -l -c "\\builtin set -- $2 '$3' '$4' \$'\\n' $6;$bash" "${SHELL##*/}"
		;;
	posix.sh | posix.dash | posix.ash | posix.busybox | posix.ksh | posix.mksh)
		shift
		become_plainly "$SHELL" -l -c "$posix" "${SHELL##*/}" "$@"
		;;
	esac
	exit # of another language none waits
}
set_line_apart() {
	exec 7<&0
	no_input
}
# As `become` has it where there is no folder and no variable: for root in few steps.
become_plainly() { # shell and arguments
	[ "$account_id" = 0 ] || become "$@"
	cd 2>&- || cd /
	unset OLDPWD
	exec $session "$@"
}

# For how long all the others have run that could have changed what a shell reads as it starts: before anything is read for it.
watch() {
	others=/sys/fs/cgroup/sessions/cpu.stat
	case $group in */0) others='' ;; esac # in a copy of this machine they begin later
	[ "$others" ] && read -r used <$others || others='' used=''
} 2>&-

# One that is started ahead of time is the first to go where memory runs out, until it has a command.
ahead() {
	echo 1000 >/proc/self/oom_score_adj
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
		read -r pid _ <proc/self/stat
		printf '\001%s pid %s\n' "$token" "$pid"
		echo "$pid" >"$note.pid" # for the keeper, should the connection break
	fi
	IFS= read -r line || exit
	case $line in 'ahead '* | 'raw '* | 'login '*) echo 1 >"$note.waits"; watch ;; esac
	# Both are as they were a while ago: what was prepared for them is not used where they have changed.
	[ -f "$mark" ] || mark='' plain_raw='' plain_login=''
	is_known || { plain_raw='' plain_login='' && find_account "$account"; }
	[ "$account_id" ] || never 'user unknown'
	cd / # out of our own root
	user='' folder='' values='' before=''
	eval "$line"
}

# The most ordinary command, a script and nothing else, in few steps: of each page that a child writes to it gets a copy first, which takes
# longer than the steps themselves. What stands before such a script is made once, by what makes it for each other command.
prepare_plain() {
	plain_for=$mark.$SHELL.$account_id plain_raw='' plain_login=''
	[ "$session$account_id" = 0 ] || return
	user='' folder='' values='' before=''
	plain_raw=$({ become() { printf '%s.' "$3" && exit; } && script raw true; } 2>&-)
	plain_raw=${plain_raw%.}
	plain_raw=${plain_raw#*2>&-;} # without its first step, for a shell that traces: a raw one has read no profile
	plain_login=$({ become() { printf '%s.' "$4" && exit; } && script login true; } 2>&-)
	case ${SHELL##*/} in
	bash) plain_login=${plain_login%true.} ;;
	sh | dash | ash | busybox) plain_login=${plain_login%.} ;;
	*) plain_login='' ;;
	esac
}
plain() { # login or raw, script
	if [ "$1" = raw ]; then
		shell=/bin/sh code=$plain_raw
	else
		shell=$SHELL code=$plain_login
	fi
	[ "$code" ] && [ -f "$shell" ] && [ -x "$shell" ] || script "$@"
	case $1.${shell##*/} in
	raw.*) become_plainly "$shell" -c "$code" sh '' "$2" ;;
	login.bash) become_plainly "$shell" -l -c "$code$2" bash ;;
	esac
	become_plainly "$shell" -l -c "$code" "${shell##*/}" '' "$2"
}

# Processes that the last command left running may still write: the channel stays open.
linger() {
	[ "$left" = 0 ] && exit
	exec sleep 2147483647
}

arm "$3"
printf '\001%s ready %s\n' "$token" $$
while :; do
	(child 2>&8 8>&-)
	status=$? killed=0 left=0 begun=0
	has_begun && begun=1
	if [ $status -gt 128 ] && [ -s "$note" ]; then
		killed=1
		true >"$note"
	fi
	if [ -n "$group" ]; then
		read -r _ left <"$group/cgroup.events"
		[ "$left" = 0 ] || set_free
		# Processes that the keeper killed with the command end soon: they don't count as left running.
		if [ "$woken" ] && [ $status = 137 ]; then left=0; fi
	else
		true >"$note.pid" # what it left running goes on, also without the connection
	fi
	both=''
	[ -z "$pipes" ] || { read -t 0 -u 9 rest || both=both; } 9<proc/self/fd/8
	[ "$both" ] || printf '\001%s\n' "$token" >&8
	printf '\001%s end %s %s %s %s %s\n' "$token" $status $killed $left $begun $both
	[ -z "$once" ] || linger
	# The host is at work meanwhile.
	is_known || look_up
	arm "$3"
	[ "$plain_for" = "$mark.$SHELL.$account_id" ] || prepare_plain

	# Waits for a word: the next child is forked when the host has what it waits for. Processes that the command left running may
	# write meanwhile: their pipes are open as long as this shell is there.
	while :; do
		# A signal can come before the child is there, and interrupts this. That is not the end of the input.
		until IFS= read -r word; do
			[ -n "$woken" ] && woken='' || exit
		done
		case $word in
		'') break ;;
		"$token") ;; # a shell has ended before it read it
		quit) exit ;;
		*) gone ;;
		esac
	done
done
