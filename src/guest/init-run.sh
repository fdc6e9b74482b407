# PID 1 of every guest, second half: identity, network, the SSH server. Sourced by init.sh.

ssh_port_hex=0016
root_disk=$root
. $smolvm/init-live.sh

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

start_network() {
	load_network
	ip link set lo up
	[ ! -e /sys/class/net/eth0 ] || start_interface
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

exec 9<>$smolvm/never
stty -echo </dev/console & # what the host says there is not for people
ulimit -Hn 1048576
while read -r line; do echo "$line"; done <$seed/authorized_keys >$smolvm/ssh/authorized_keys
start_network &
network=$!
(in_image smolvm/init-identity.sh)
mkdir -m 1777 /image/run/lock
cp -a /image/dev/vport* /dev 2>/dev/null
start_server
echo "+cpu +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
grow_root
wait $network
wait_for_server
read_console &
console_reader=$!
watch_names 0 &
names_watcher=$!
for identity_port in /dev/vport*p3; do read_identities & done
identity_reader=$!
let_kernel_speak
echo "smolvm: ready"
live
