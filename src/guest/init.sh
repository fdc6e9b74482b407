#!/bin/sh
# PID 1 of every guest, first half: from the kernel to the image's root file system. The second half is init-run.sh. PID 1
# stays in the root that the kernel has unpacked into memory, as does all else that lets the host in: no program of the
# image runs here, and nothing here can be written from there. The image's root is mounted at /image, where commands run.
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
	mount -t "$root_type" -o "$mode$root_flags" "$root" /image || fail "$root can't be mounted as $root_type"
}

# The table's mounts land in our own root where one of these is a link that somebody has made: it gives way.
make_mount_points() {
	for folder in proc sys dev run; do
		[ -L /image/$folder ] || [ ! -d /image/$folder ] || continue
		rm -f /image/$folder
		mkdir /image/$folder
	done
	[ -L /image/tmp ] || [ -d /image/tmp ] || mkdir -m 1777 /image/tmp
}

/bin/busybox mount -a -T $smolvm/fstab.early
cp -a $smolvm/skeleton/. / # /dev/fd and the like, /dev/pts
read_command_line
if [ "$task" ]; then . $smolvm/init-$task.sh; fi
if [ "$root" ]; then mount_root; else mount -a -T $smolvm/fstab.memory; fi
make_mount_points
if [ "$root" ] && [ "$init" != /init ]; then
	load_modules net
	load_modules random
	mount -o move /dev /image/dev
	mount -o move /proc /image/proc
	exec switch_root /image "$init"
fi
mount -a -T $smolvm/fstab.image
. $smolvm/init-run.sh
