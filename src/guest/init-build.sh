# The builder guest: makes the root file system of an image. Sourced by init.sh, whose functions it uses. /dev/vda is the disk to be filled,
# /dev/vdb a tar archive of unpacked packages. Everything that it prints is progress; the host takes the last lines for an error message.

progress() {
	echo "smolvm: progress $*"
}

in_root() { # a command in the new system
	chroot /newroot /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true "$@"
}

# Nobody else sees this disk before it is whole, so it needs neither a journal nor barriers for now.
make_file_system() {
	progress "Making the file system"
	mkfs.ext4 -q -F -b 4096 -m 0 -O ^has_journal -E assume_storage_prezeroed=1 /dev/vda || fail "mkfs.ext4 failed"
	mount -t ext4 -o noatime /dev/vda /newroot || fail "the new file system can't be mounted"
}

unpack() {
	progress "Unpacking the packages in the guest"
	tar -x -f /dev/vdb -C /newroot || fail "the packages can't be unpacked"
	mount -a -T $smolvm/fstab.root || fail "the new system can't be entered"
}

# dpkg would have run these before it unpacked; on a fresh system they make users and diversions.
run_preinsts() {
	progress "Preparing the packages"
	for script in /newroot/var/lib/dpkg/info/*.preinst; do
		name=${script##*/} package=${name%.preinst}
		package=${package%:*}
		in_root DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_PACKAGE=$package DPKG_MAINTSCRIPT_ARCH=$debian_arch \
			/var/lib/dpkg/info/$name install || fail "the preinst script of $package failed"
	done
}

configure() {
	printf '#!/bin/sh\nexit 101\n' >/newroot/usr/sbin/policy-rc.d # packages start no services here
	chmod 755 /newroot/usr/sbin/policy-rc.d
	in_root dpkg --force-unsafe-io --configure -a || fail "the packages can't be configured"
	rm /newroot/usr/sbin/policy-rc.d
}

finish() {
	progress "Finishing the image"
	rm -rf /newroot/var/lib/dpkg/*-old /newroot/var/cache/debconf/*-old /newroot/var/cache/ldconfig/* /newroot/var/log/* /newroot/run/*
	for mounted in sys/fs/cgroup dev/shm dev/pts dev proc sys run; do umount /newroot/$mounted; done
	umount /newroot || fail "the new file system is still in use"
	tune2fs -O has_journal -J size=16 /dev/vda >/dev/null || fail "tune2fs failed"
	echo "smolvm: done"
	poweroff -f
	while :; do sleep 60; done
}

load_modules disk
debian_arch=
for word in $command_line; do
	case $word in smolvm.arch=*) debian_arch=${word#*=} ;; esac
done
mount -t sysfs sysfs /sys
make_file_system
unpack
run_preinsts
configure
finish
