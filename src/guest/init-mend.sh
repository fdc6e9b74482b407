# What keeps the host's way in open, whatever root has done in the guest. Sourced by init-live.sh.

groups=/sys/fs/cgroup/smolvm
sessions=/sys/fs/cgroup/sessions

# What lets the host in, and what its commands run in, neither stands still nor has limits.
loosen() {
	for group in $sessions $groups $groups/* $groups/*/*; do
		echo 0 >$group/cgroup.freeze
	done
	for limit in pids.max memory.max memory.high cpu.max; do
		for file in $sessions/$limit $groups/$limit $groups/*/$limit $groups/*/*/$limit; do echo max >$file; done
	done
} 2>/dev/null

# Where a process can't be started, these may be why.
allow_processes() {
	echo 0 >/proc/sys/vm/overcommit_memory
	echo "$most_threads" >/proc/sys/kernel/threads-max
	echo "$most_pids" >/proc/sys/kernel/pid_max
} 2>/dev/null

# Ends a command where no connection can be made by which its keeper would. Its worker is not to take another one.
end_command() { # group worker
	case $1 in *[!0-9a-f/]*) return ;; esac
	kill -USR1 "$2"
	echo 1 >$groups/"$1"/cgroup.kill
} 2>/dev/null

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

# The interface gets what it had as the guest booted, and what goes back to the host a table of its own, which
# comes before the routes that somebody has set.
mend_network() {
	load_network
	for device in /sys/bus/virtio/devices/*; do
		[ -e $device/driver ] || echo "${device##*/}" >/sys/bus/virtio/drivers/virtio_net/bind
	done
	for interface in /sys/class/net/*; do
		[ -e /sys/class/net/eth0 ] || [ ! -e $interface/device ] || rename_interface "${interface##*/}"
	done
	ip address add 10.0.2.15/24 dev eth0
	ip link set eth0 up arp on
	ip route replace 10.0.2.2 dev eth0 src 10.0.2.15 table 252
	ip rule del from 10.0.2.15 to 10.0.2.2 table 252
	ip rule add from 10.0.2.15 to 10.0.2.2 pref 0 table 252
}

rename_interface() {
	ip link set "$1" down
	ip link set "$1" name eth0
}
