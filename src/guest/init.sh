#!/bin/sh
# PID 1 of every guest, first half: from the kernel to the root file system. The second half is init-run.sh.
#
# Run by busybox, whose applets need no files of their own. Under emulation a process costs about 4 ms and a builtin
# next to nothing: hence so few processes, and one `mount -a` for many mounts.

smolvm=/smolvm

fail() {
	echo "smolvm: failed: $*"
	sleep 1 # the console is drained meanwhile
	exec busybox poweroff -f
}

# Loads the modules of one folder in order. A kernel that has them built in, or is not ours, refuses them: that is fine,
# what is missing then shows in the next step.
load_modules() {
	for module in "$smolvm/modules/$1"/*.ko; do
		insmod "$module" 2>/dev/null
	done
}

read_command_line() {
	root='' root_type=ext4 root_flags='' mode=ro init=/sbin/init task=''
	read -r command_line </proc/cmdline
	for word in $command_line; do
		case $word in
		root=*) root=${word#*=} ;;
		rootfstype=*) root_type=${word#*=} ;;
		rootflags=*) root_flags=,${word#*=} ;;
		init=*) init=${word#*=} ;;
		smolvm.task=*) task=${word#*=} ;;
		ro | rw) mode=$word ;;
		esac
	done
}

mount_root() {
	load_modules disk
	tries=0
	until [ -b "$root" ]; do
		tries=$((tries + 1))
		[ $tries -le 100 ] || fail "the disk $root did not appear"
		usleep 20000
	done
	mount -t "$root_type" -o "$mode$root_flags" "$root" /newroot || fail "$root can't be mounted as $root_type"
	for folder in proc sys dev run tmp; do
		[ -d /newroot/$folder ] || mkdir /newroot/$folder
	done
}

# What is ours stays in memory, seen by the guest below /run: its disk holds none of it. The last line of that table moves
# the new root over ours, where this shell already stands.
enter_root() {
	cd /newroot
	mount -a -T $smolvm/fstab.root
	exec chroot . /run/smolvm/busybox sh /run/smolvm/init-run.sh "$root"
}

/bin/busybox mount -a -T $smolvm/fstab.early
cp -a $smolvm/skeleton/. / # /dev/fd and the like, /dev/pts, /run/smolvm
read_command_line
if [ "$task" ]; then . $smolvm/init-$task.sh; fi
if [ -z "$root" ]; then
	mount -a -T $smolvm/fstab.memory
	. $smolvm/init-run.sh
fi
mount_root
if [ "$init" != /init ]; then
	load_modules net
	load_modules random
	mount -o move /dev /newroot/dev
	mount -o move /proc /newroot/proc
	exec switch_root /newroot "$init"
fi
enter_root
