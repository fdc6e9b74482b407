# PID 1 of every guest, second half: identity, network, the SSH server, and then the life of PID 1. Sourced by init.sh.

seed=$smolvm/seed
ssh_port_hex=0016
server_pid_file=/run/server.pid
root_disk=$root
. $smolvm/init-shared.sh
. $smolvm/init-time.sh

# Runs a program of ours with the image's root, where links lead to what they mean there. The working directory stays here: what
# is ours has a path without a slash in front. (The way in for a command is the same; a guest with namespaces enters them here.)
in_image() {
	exec nsenter -r/image "$@"
}

fail() {
	echo "smolvm: failed: $*"
	usleep 300000 # the console is drained meanwhile
	poweroff -f
}

# Grows the file system to its disk. The common case, a disk as large as the image's, takes no process to find out: the
# image notes its size. Else the superblock tells: words 1 and 6 are the blocks and the power of their size, 14 holds the
# magic number (Documentation/filesystems/ext4/super.rst).
grow_root() {
	[ "$root_disk" ] || return
	read -r image_sectors <$smolvm/root-sectors
	read -r disk_sectors </sys/class/block/${root_disk#/dev/}/size
	[ "$image_sectors" = "$disk_sectors" ] && return
	set -- $(od -An -v -tu4 -j1024 -N60 "/image$root_disk")
	[ $((${15:-0} & 65535)) = 61267 ] || return
	sectors_per_block=$((2 << $7))
	[ $(($2 * sectors_per_block + sectors_per_block)) -gt "$disk_sectors" ] || timeout 300 chroot /image resize2fs "$root_disk"
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
	read -r network <$seed/network # without a way out a look-up is to fail at once, and not to wait for a name server
	if [ "$network" = off ]; then ip route add unreachable 10.0.2.3; else ip route add default via 10.0.2.2; fi
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

# Only what listens has a line here: local address, port and state 0A.
listening() {
	while read -r _ local _ state _; do
		case "$local $state" in *:$ssh_port_hex" 0A") return 0 ;; esac
	done
	return 1
}

wait_for_server() {
	ticks=0
	until listening </proc/net/tcp || listening </proc/net/tcp6; do
		ticks=$((ticks + 1))
		[ $ticks -le 6000 ] || fail "the SSH server does not listen"
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
	trap - CHLD
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
	in_image smolvm/busybox sh smolvm/init-identity.sh "${identity_port#/}"
}

# Each process that ends, also an orphan, interrupts the pause; what must live is started again. Several ends may be told as one: `jobs`
# reaps them all, so that none is taken to live. An end that is told just before the pause begins is found when it is over.
supervise() {
	while :; do
		ended=
		jobs >/dev/null
		kill -0 "$console_reader" || { read_console & console_reader=$!; }
		kill -0 "$server_pid" || start_server
		kill -0 "$names_watcher" || { watch_names 5 & names_watcher=$!; }
		kill -0 "$identity_reader" || { read_identities & identity_reader=$!; }
		[ "$ended" ] || pause 2
	done 2>/dev/null
}

# It ends where /etc is gone: a new one waits.
watch_names() { # seconds
	[ "$1" = 0 ] || sleep "$1"
	exec 9<&-
	in_image smolvm/busybox sh smolvm/watch-names.sh
}

exec 9<>$smolvm/never
stty -echo </dev/console & # what the host says there is not for people
ulimit -Hn 1048576
while read -r line; do echo "$line"; done <$seed/authorized_keys >$smolvm/ssh/authorized_keys
start_network &
network=$!
(in_image smolvm/busybox sh smolvm/init-identity.sh)
mkdir -m 1777 /image/run/lock
cp -a /image/dev/vport* /dev 2>/dev/null
start_server
echo "+cpu +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
grow_root
wait $network
wait_for_server
trap ended=1 CHLD
trap 'end_machine poweroff' USR1 USR2
trap 'end_machine reboot' TERM
read_console &
console_reader=$!
watch_names 0 &
names_watcher=$!
for identity_port in /dev/vport*p3; do read_identities & done
identity_reader=$!
let_kernel_speak
echo "smolvm: ready"
supervise
