# What keeps the host's way in open, whatever root has done in the guest. Sourced by init-live.sh.

groups=/sys/fs/cgroup/smolvm
sessions=/sys/fs/cgroup/sessions

# What lets the host in, and what its commands run in, neither stands still nor has limits.
loosen() {
	for group in $sessions $groups $groups/*/ $groups/*/*/; do
		echo 0 >$group/cgroup.freeze
		for limit in pids.max memory.max memory.high cpu.max; do echo max >$group/$limit; done
	done
} 2>/dev/null

# Where a process can't be started, these may be why. The kernel's own value for threads is what fills an eighth of the memory, at 16 KiB for
# each; it can't be read by a shell's builtin, which asks for one byte after the other.
allow_processes() {
	echo 0 >/proc/sys/vm/overcommit_memory
	read -r _ memory_kib _ </proc/meminfo
	echo $((memory_kib / 128)) >/proc/sys/kernel/threads-max
	echo 32768 >/proc/sys/kernel/pid_max
} 2>/dev/null

# Ends a command whose keeper can't be reached. Its worker is not to take another one.
end_command() { # group worker
	case $1 in *[!0-9a-f/]*) return ;; esac
	kill -USR1 "$2"
	echo 1 >$groups/"$1"/cgroup.kill
} 2>/dev/null

# With arp_notify the kernel sends a packet by itself as the interface comes up: QEMU's network then knows our MAC, and
# the first connection from the host doesn't wait a second for it.
start_interface() {
	echo 1 >/proc/sys/net/ipv4/conf/eth0/arp_notify
	ip address add 10.0.2.15/24 dev eth0
	ip link set eth0 up
	read -r network <$seed/network # without a way out a look-up is to fail at once, and not to wait for a name server
	if [ "$network" = off ]; then ip route add unreachable 10.0.2.3; else ip route add default via 10.0.2.2; fi
}

load_network() {
	for module in $smolvm/modules/net/*.ko $smolvm/modules/random/*.ko; do
		insmod "$module"
	done
} 2>/dev/null

# The host can't connect, or gets no answer.
mend() {
	echo 1 >/sys/fs/cgroup/cgroup.procs
	loosen
	while read -r pid; do kill -CONT "$pid"; done <$groups/keepers/cgroup.procs
	mend_network
} >/dev/null 2>&1

# The interface gets its driver, name and address again. What goes back to the host gets a table of its own, which comes before the routes
# that somebody has set. The way out comes back only where the interface was down: who has closed it on purpose keeps it closed.
mend_network() {
	load_network
	for device in /sys/bus/virtio/devices/*; do
		[ -e $device/driver ] || echo "${device##*/}" >/sys/bus/virtio/drivers/virtio_net/bind
	done
	for interface in /sys/class/net/*; do
		[ -e /sys/class/net/eth0 ] || [ ! -e $interface/device ] || rename_interface "${interface##*/}"
	done
	flags=0
	read -r flags </sys/class/net/eth0/flags
	if [ $((flags & 1)) = 1 ]; then ip address add 10.0.2.15/24 dev eth0; else start_interface; fi
	ip link set eth0 arp on
	ip route replace 10.0.2.2 dev eth0 src 10.0.2.15 table 252
	ip rule del from 10.0.2.15 to 10.0.2.2 table 252
	ip rule add from 10.0.2.15 to 10.0.2.2 pref 0 table 252
}

rename_interface() {
	ip link set "$1" down
	ip link set "$1" name eth0
}
