# The builder guest: makes the root file system of an image. Sourced by init.sh, whose functions it uses. /dev/vda is the
# disk to be filled, /dev/vdb a tar archive of unpacked packages. Everything that is printed is progress; when it fails,
# the host shows the last lines of it.

progress() {
	echo "smolvm: progress $*"
}

# Runs a command in the new system. What lies in build/ goes before the programs of the same names.
in_root() {
	chroot /image /usr/bin/env -i PATH=/run/smolvm/build:/usr/sbin:/usr/bin HOME=/root LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true "$@"
}

# Nobody sees this disk before it is whole: until then it needs no journal.
make_file_system() {
	progress "Making the file system"
	mkfs.ext4 -q -F -b 4096 -m 0 -O ^has_journal -E assume_storage_prezeroed=1 /dev/vda || fail "mkfs.ext4 failed"
	mount -t ext4 -o noatime /dev/vda /image || fail "the new file system can't be mounted"
}

unpack() {
	progress "Unpacking the packages in the guest"
	tar -x -f /dev/vdb -C /image || fail "the packages can't be unpacked"
	mount -a -T $smolvm/fstab.build || fail "the new system can't be entered"
	mkdir /image/run/smolvm
	mount -o bind $smolvm /image/run/smolvm
}

# dpkg would have run these before it unpacked; on a fresh system they make the first users and some diversions. None
# asks a question then: told that there is somebody to answer, they start no debconf (a second each, and two want it).
run_preinsts() {
	progress "Preparing the packages"
	for script in /image/var/lib/dpkg/info/*.preinst; do
		script=${script##*/}
		package=${script%.preinst}
		package=${package%:*}
		run_preinst DEBIAN_HAS_FRONTEND=1 || run_preinst DEBIAN_PRIORITY=critical || fail "the preinst of $package failed"
	done
}

run_preinst() {
	in_root "$@" DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_PACKAGE="$package" \
		DPKG_MAINTSCRIPT_ARCH="$debian_arch" "/var/lib/dpkg/info/$script" install </dev/null
}

# Before a package is unpacked for the first time, this script takes a short way; as all is unpacked already it would take
# one of a thousand processes, to the same end. Its own text is back in place afterwards.
shorten_ca_certificates() {
	config=/image/var/lib/dpkg/info/ca-certificates.config
	[ -e $config ] || return
	cp -p $config /run/ca-certificates.config
	sed -i 's,test -d /usr/share/ca-certificates;,false;,' $config
}

configure() {
	printf '#!/bin/sh\nexit 101\n' >/image/usr/sbin/policy-rc.d # packages start no services here
	chmod 755 /image/usr/sbin/policy-rc.d
	shorten_ca_certificates
	in_root dpkg --force-unsafe-io --configure -a || fail "the packages can't be configured"
	[ -e /run/ca-certificates.config ] && cp -p /run/ca-certificates.config $config
	rm /image/usr/sbin/policy-rc.d
}

finish() {
	progress "Finishing the image"
	cd /image && rm -rf var/lib/dpkg/*-old var/cache/debconf/*-old var/cache/ldconfig/* var/log/*
	cd /
	for mounted in run/smolvm run sys dev/shm dev/pts dev proc; do umount /image/$mounted; done
	umount /image || fail "the new file system is still in use"
	tune2fs -O has_journal -J size=16 /dev/vda >/dev/null || fail "tune2fs failed"
	echo "smolvm: done"
	usleep 200000 # the console is drained meanwhile
	poweroff -f
}

debian_arch=
for word in $command_line; do
	case $word in smolvm.arch=*) debian_arch=${word#*=} ;; esac
done
load_modules disk
make_file_system
unpack
run_preinsts
configure
finish
