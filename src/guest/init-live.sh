# The life of PID 1, once the guest is up. Sourced by init-run.sh, and by init-again.sh where PID 1 goes on in a new shell.

smolvm=/smolvm
seed=$smolvm/seed
server_pid_file=/run/server.pid
. $smolvm/init-shared.sh
. $smolvm/init-time.sh
. $smolvm/init-mend.sh

# Runs a shell script of ours with the image's root, where links lead to what they mean there. The working directory stays here: what
# is ours has a path without a slash in front. (The way in for a command is the same; a guest with namespaces enters them here.)
in_image() {
	exec nsenter -r/image smolvm/busybox sh "$@"
}

# The same keys for every user; the image need not have any, nor a server, and a command in the guest can't lock its host out. It is not
# put into the background by this shell: what a shell puts there ignores SIGINT and SIGQUIT, and every command would inherit that.
start_server() {
	: >$server_pid_file
	/usr/sbin/dropbear -s -D $smolvm/ssh -r $seed/host_key_ed25519 -P $server_pid_file 9<&-
	server_pid='' ticks=0
	until read -r server_pid <$server_pid_file || [ $ticks = 1000 ]; do
		ticks=$((ticks + 1))
		pause 0.005
	done
}

# What the host asks for. It asks again where no answer comes: a message of the kernel can tear a line apart.
read_console() {
	while read -r line; do
		case $line in
		*"smolvm grace "*" smolvm poweroff") note_grace "${line##*smolvm grace }" && kill -USR2 1 ;;
		*"smolvm poweroff") kill -USR2 1 ;;
		*"smolvm ready?") echo "smolvm: ready" ;;
		*"smolvm quiet? "*) come_to_rest "${line##* }" ;;
		*"smolvm speak") let_kernel_speak && echo "smolvm: speaks" ;;
		*"smolvm time "*) (exec_date ${line##*smolvm time }) ;;
		*"smolvm clock "*) compare_clock ${line##*smolvm clock } ;;
		*"smolvm kill "*) end_command ${line##*smolvm kill } ;;
		*"smolvm mend") mend ;;
		esac
	done </dev/console
}

# Copies of this machine are good when their kernels have said that they have new random numbers; a user may have told it to be quiet.
let_kernel_speak() {
	read -r level _ </proc/sys/kernel/printk
	[ "$level" -ge 6 ] || echo 6 >/proc/sys/kernel/printk
}

# Before a template is saved: nothing may live but PID 1, this reader, the server, the two that look for names, the two that wait for an
# identity and what the host says; nothing may be at work; and the disk must have it all.
come_to_rest() { # how-many-others-may-live
	[ -e /sys/bus/platform/drivers/vmgenid ] || [ -e /sys/bus/acpi/drivers/vmgenid ] ||
		{ echo "smolvm: failed: this kernel has no vmgenid: its clones would draw the same random numbers" && return; }
	ticks=0
	rested=0
	until [ $rested -ge 5 ]; do
		ticks=$((ticks + 1))
		[ $ticks -le 250 ] || return
		if only_we_live "$1" && nothing_runs; then rested=$((rested + 1)); else rested=0; fi
		pause 0.02
	done
	sync
	echo "smolvm: quiet"
}

only_we_live() {
	living=0
	for exe in /proc/[0-9]*/exe; do
		[ -e "$exe" ] && living=$((living + 1))
	done
	[ $living -eq $((7 + $1)) ]
}

nothing_runs() { # but this shell
	read -r _ _ _ running _ </proc/loadavg
	[ "${running%/*}" -le 1 ]
}

# Kernel threads and zombies have no exe.
others_live() {
	for exe in /proc/[0-9]*/exe; do
		[ -e "$exe" ] && [ "$exe" != /proc/1/exe ] && return 0
	done
	return 1
}

# What lives has as long to end well as the host says. A child's end is not trapped: a trap within a trap leaves the wrong status behind,
# even one that does nothing.
end_machine() { # poweroff or reboot
	trap '' USR1 USR2 TERM
	trap - CHLD EXIT
	allow_processes
	read_deadline
	kill -TERM -1
	ticks=0
	while others_live && [ "$now" -lt $deadline ]; do
		ticks=$((ticks + 1))
		if [ $ticks -lt 100 ]; then pause 0.01; else pause 0.1; fi
		read_uptime
	done
	kill -KILL -1
	sync
	mount -o remount,ro /image
	"$1" -f
	while :; do sleep 60; done
} 2>/dev/null

# With the image's root: it writes to files there.
read_identities() {
	in_image smolvm/init-identity.sh "${identity_port#/}"
}

# Each process that ends, also an orphan, interrupts the pause; what must live is started again, or goes on where it was stopped. Several
# ends may be told as one: `jobs` reaps them all, so that none is taken to live. An end that is told just before the pause begins is found
# when it is over.
live() {
	trap ended=1 CHLD
	trap 'end_machine poweroff' USR1 USR2
	trap 'end_machine reboot' TERM
	trap begin_again EXIT
	while :; do
		ended=
		jobs >/dev/null
		kill -CONT "$console_reader" || { read_console & console_reader=$!; }
		kill -CONT "$server_pid" || start_server
		kill -CONT "$names_watcher" || { watch_names 5 & names_watcher=$!; }
		kill -CONT "$identity_reader" || { read_identities & identity_reader=$!; }
		loosen
		[ "$ended" ] || pause 2
	done 2>/dev/null
}

# A shell that can't fork ends, and the machine ends with PID 1. So what prevents forks is undone, and a new shell goes on.
begin_again() {
	allow_processes
	pause 0.5
	exec /bin/busybox sh $smolvm/init-again.sh "$server_pid" "$console_reader" "$names_watcher" "$identity_reader" "$identity_port"
}

# It ends where /etc is gone: a new one waits.
watch_names() { # seconds
	[ "$1" = 0 ] || sleep "$1"
	exec 9<&-
	in_image smolvm/watch-names.sh
}
