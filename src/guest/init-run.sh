# PID 1 of every guest, second half: identity, network, the SSH server, and then the life of PID 1. Sourced by or run
# after init.sh, by busybox. All that is ours is below /run/smolvm, in memory.

smolvm=/run/smolvm
seed=$smolvm/seed
ssh_port_hex=0016
nl='
'
root_disk=${1:-}

fail() {
	echo "smolvm: failed: $*"
	usleep 300000 # the console is drained meanwhile
	poweroff -f
}

# Name and machine-id of this machine. Files are written only where they differ: a disk that was started before has them.
take_identity() {
	read -r name <$seed/hostname && echo "$name" >/proc/sys/kernel/hostname
	read -r old_name </etc/hostname
	if [ "$name" != "$old_name" ]; then
		echo "$name" >/etc/hostname
		name_in_hosts
	fi 2>/dev/null
	read -r id <$seed/machine-id
	read -r old_id </etc/machine-id
	[ "$id" = "$old_id" ] || echo "$id" >/etc/machine-id
	[ -s /etc/resolv.conf ] || echo "nameserver 10.0.2.3" >/etc/resolv.conf
} 2>/dev/null

name_in_hosts() {
	old='' hosts='' has_name=''
	while read -r line; do
		old="$old$line$nl"
		case $line in 127.0.1.1*) line="127.0.1.1 $name" has_name=1 ;; esac
		hosts="$hosts$line$nl"
	done </etc/hosts
	if [ "$has_name" ]; then overwrite "${old%"$nl"}" "${hosts%"$nl"}" /etc/hosts; else echo "127.0.1.1 $name" >>/etc/hosts; fi
}

# In place where it can be: to cut a file short first has ext4 write it to the disk at once.
overwrite() { # old new file
	if [ ${#1} -le ${#2} ]; then echo "$2" 1<>"$3"; else echo "$2" >"$3"; fi
}

# Grows the file system to its disk. The common case, a disk as large as the image's, takes no process to find out: the
# image notes its size. Else the superblock tells: words 1 and 6 are the blocks and the power of their size, 14 holds the
# magic number (Documentation/filesystems/ext4/super.rst).
grow_root() {
	[ "$root_disk" ] || return
	read -r image_sectors <$smolvm/root-sectors
	read -r disk_sectors </sys/class/block/${root_disk#/dev/}/size
	[ "$image_sectors" = "$disk_sectors" ] && return
	set -- $(od -An -v -tu4 -j1024 -N60 "$root_disk")
	[ $((${15:-0} & 65535)) = 61267 ] || return
	sectors_per_block=$((2 << $7))
	[ $(($2 * sectors_per_block + sectors_per_block)) -gt "$disk_sectors" ] || resize2fs "$root_disk"
} >/dev/null 2>&1

# With arp_notify the kernel sends a packet by itself as the interface comes up: QEMU's network then knows our MAC, and
# the first connection from the host doesn't wait a second for it.
start_network() {
	for module in $smolvm/modules/net/*.ko $smolvm/modules/random/*.ko; do
		insmod "$module" 2>/dev/null
	done
	ip link set lo up
	[ -e /sys/class/net/eth0 ] || return
	echo 1 >/proc/sys/net/ipv4/conf/eth0/arp_notify
	ip address add 10.0.2.15/24 dev eth0
	ip link set eth0 up
	ip route add default via 10.0.2.2
}

# The same keys for every user; the disk need not hold any, and a command in the guest can't lock its host out.
choose_server() {
	while read -r line; do echo "$line"; done <$seed/authorized_keys >$smolvm/ssh/authorized_keys
	for server in /usr/sbin/dropbear /usr/sbin/sshd; do
		[ -x $server ] && return
	done
	fail "no SSH server in the image"
}

# A shell has what it puts in the background ignore SIGINT and SIGQUIT, and every command would inherit that. dropbear mends the
# first of them; for the other one it takes a program, which busybox lacks.
start_server() {
	heed='/usr/bin/env --default-signal=INT,QUIT'
	if [ -L /usr/bin/env ] || ! $heed true 2>/dev/null; then heed=''; fi
	case $server in
	*/dropbear) exec $heed $server -F -s -D $smolvm/ssh -r $seed/host_key_ed25519 ;;
	*/sshd) . $smolvm/init-sshd.sh ;;
	esac
}

# Only what listens has a line here: local address, port and state 0A.
listening() {
	while read -r _ local _ state _; do
		case "$local $state" in *:$ssh_port_hex" 0A") return 0 ;; esac
	done
	return 1
}

# Without a process: nobody writes there.
pause() { # seconds
	read -r -t "$1" _ <&9
}

wait_for_server() {
	exec 9<>$smolvm/never
	ticks=0
	until listening </proc/net/tcp || listening </proc/net/tcp6; do
		ticks=$((ticks + 1))
		[ $ticks -le 6000 ] || fail "the SSH server $server does not listen"
		pause 0.005
	done
}

# What the host asks for. It asks again where no answer comes: a message of the kernel can tear a line apart.
read_console() {
	while read -r line; do
		case $line in
		*"smolvm poweroff") kill -USR2 1 ;;
		*"smolvm ready?") echo "smolvm: ready" ;;
		*"smolvm quiet? "*) come_to_rest "${line##* }" ;;
		*"smolvm speak") let_kernel_speak && echo "smolvm: speaks" ;;
		*"smolvm time "*) (exec_date ${line##*smolvm time }) ;;
		esac
	done </dev/console
}

# Copies of this machine are good when their kernels have said that they have new random numbers; a user may have told it to be quiet.
let_kernel_speak() {
	read -r level _ </proc/sys/kernel/printk
	[ "$level" -ge 6 ] || echo 6 >/proc/sys/kernel/printk
}

# Waits for the host to say who this machine is now: a guest that was restored has the name, the machine-id and the time of the
# saved one until then. On a port of its own, which is there at once and costs a restored guest much less than its console.
# The process that sets the time waits too, and ends with this one: to start it is dear in code that has not been translated.
read_identities() { # port
	while :; do
		{ read -r time request && exec_date "$time" "$request"; } <$smolvm/times >&5 5>&- 6>&- &
		read -r name id time request keeps <&5 || break
		[ "$keeps" ] && leave_connections "$keeps"
		take_new_identity "$name" "$id"
		echo "$time $request" >&6
		wait $!
		pause 0.5 # what comes next is the first command
	done 5<>"$1" 6<>$smolvm/times
	pause 3
} 2>/dev/null

take_new_identity() { # hostname machine-id
	echo "$1" >/proc/sys/kernel/hostname
	name=$1
	read -r old_name </etc/hostname
	overwrite "$old_name" "$name" /etc/hostname
	name_in_hosts
	read -r old_id </etc/machine-id
	overwrite "$old_id" "$2" /etc/machine-id
}

# Sets the time, and says so in one. An applet of busybox needs no other program for `exec`; and no time zone is looked for, where
# there is not even a folder.
exec_date() {
	export TZ=UTC0 TZDIR=/none
	exec date -s "@$1" "+smolvm: identity $2"
}

# This machine was copied while its source was in use: nobody is at the other end of the source's connections. What ran through
# them goes on in the background, and what it writes is read, by nobody; the rest of them ends. A keeper that saw its
# connection end would end the commands too: it goes first. A shell that was left for this machine's first commands stays. Until this is done, no packet comes or goes.
leave_connections() { # cgroup-that-stays
	for note in /run/smolvm.*.keeper /tmp/smolvm.*.keeper; do
		read -r pid <"$note" && kill -KILL "$pid"
	done
	groups=/sys/fs/cgroup/smolvm
	for connection in $groups/*/; do
		[ -d "$connection"workers ] && [ "$connection" != "$groups/$1/" ] || continue
		used=
		for group in "$connection"[0-9]*/; do
			read -r pid <"$group"cgroup.procs && [ "$pid" ] || continue
			used=1
			move_out "$group"cgroup.procs
		done
		[ "$used" ] && drain "$connection"workers/cgroup.procs
		echo 1 >"$connection"workers/cgroup.kill
	done
	read -r sessions <"/proc/$server_pid/task/$server_pid/children"
	[ "$sessions" ] && kill -KILL $sessions
	rm -f /run/smolvm.*.keeper /tmp/smolvm.*.keeper
}

# The output of a worker's command, stderr included, goes through the worker's own channel: as long as a pipe has a reader, who
# writes to it lives.
drain() { # file-with-pids
	while read -r pid; do
		[ "$pid" ] || continue
		for fd in 1 8; do
			(cat "/proc/$pid/fd/$fd" >/dev/null &)
		done
	done <"$1"
	pause 0.02 # they are open before the other readers go
}

move_out() { # file-with-pids
	moved=1
	while [ $moved = 1 ]; do
		moved=0
		while read -r pid; do
			echo "$pid" >$groups/background/cgroup.procs && moved=1
		done <"$1"
	done
}

# Before a template is saved: nothing may live but PID 1, this reader, the server, the two that wait for an identity and what the
# host says; nothing may be at work; and the disk must have it all.
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
	[ $living -eq $((5 + $1)) ]
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

end_machine() { # poweroff or reboot
	trap '' USR1 USR2 TERM CHLD
	kill -TERM -1
	ticks=0
	while others_live && [ $ticks -lt 100 ]; do
		ticks=$((ticks + 1))
		pause 0.01
	done
	kill -KILL -1
	sync
	mount -o remount,ro /
	"$1" -f
	while :; do sleep 60; done
}

# Whatever ends, be it somebody's orphan, interrupts `wait`; what must live is started again. Several ends may be told as one: `jobs`
# reaps them all, so that none is taken to live, and who ended since then is looked for before the next `wait`.
supervise() {
	while :; do
		ended=
		jobs >/dev/null
		kill -0 "$console_reader" || { read_console & console_reader=$!; }
		kill -0 "$server_pid" || { start_server & server_pid=$!; }
		kill -0 "$identity_reader" || { read_identities "$identity_port" & identity_reader=$!; }
		[ "$ended" ] || wait
	done 2>/dev/null
}

start_network &
network=$!
take_identity
choose_server
start_server &
server_pid=$!
echo "+cpu +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
grow_root
wait $network
wait_for_server
trap ended=1 CHLD
trap 'end_machine poweroff' USR1 USR2
trap 'end_machine reboot' TERM
read_console &
console_reader=$!
for identity_port in /dev/vport*p3; do read_identities "$identity_port" & done
identity_reader=$!
let_kernel_speak
echo "smolvm: ready"
supervise
