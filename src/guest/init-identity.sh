# Who this machine is: written into the image's files as it boots, and again where it is a copy of another one. Run by PID 1 with the
# image's root; the working directory is our own root, where what is ours has a path without a slash in front. What the guest has made of
# these files must not keep anybody out: a fifo in their place would be read for ever, and so would a line without an end.
# $1 the port by which the host tells; none: as it boots.

nl='
'
. smolvm/init-shared.sh
. smolvm/take-names.sh

# Name and machine-id of this machine. Files are written only where they differ: a disk that was started before has them.
take_identity() {
	read -r name <smolvm/seed/hostname && echo "$name" >proc/sys/kernel/hostname
	first_line /etc/hostname
	if [ "$name" != "$line" ]; then
		overwrite "" "$name" /etc/hostname
		name_in_hosts
	fi
	read -r id <smolvm/seed/machine-id
	first_line /etc/machine-id
	[ "$id" = "$line" ] || overwrite "" "$id" /etc/machine-id
	[ -s /etc/resolv.conf ] || overwrite "" "nameserver 10.0.2.3" /etc/resolv.conf
	return 0
} 2>/dev/null

first_line() { # file
	line=''
	[ -f "$1" ] && read -r -n 4096 line <"$1"
}

# Who asks for an address of the other kind would else ask the name server, and wait for it where there is none.
name_in_hosts() {
	[ -f /etc/hosts ] || [ ! -e /etc/hosts ] || return
	old='' hosts=''
	while read -r -n 4096 line || [ "$line" ]; do
		old="$old$line$nl"
		[ ${#line} -lt 4096 ] && [ ${#old} -lt 65536 ] || return
		case $line in "::1 localhost"* | "::1 "*" "*) ;; 127.0.1.1[[:blank:]]* | "::1 "*) continue ;; esac
		hosts="$hosts$line$nl"
	done </etc/hosts
	overwrite "${old%"$nl"}" "${hosts}127.0.1.1 $name$nl::1 $name" /etc/hosts
}

# In place where it can be: to cut a file short first has ext4 write it to the disk at once.
overwrite() { # old new file
	[ -f "$3" ] || [ ! -e "$3" ] || return
	if [ ${#1} -le ${#2} ]; then echo "$2" 1<>"$3"; else echo "$2" >"$3"; fi
}

# Waits for the host to say who this machine is now: a guest that was restored has the name, the machine-id and the time of the
# saved one until then. On a port of its own, which is there at once and costs a restored guest much less than its console.
# The process that sets the time waits too, and ends with this one: to start it is dear in code that has not been translated.
read_identities() { # port
	while :; do
		{ read -r time request && exec_date "$time" "$request"; } <smolvm/times >&5 5>&- 6>&- &
		read -r name id time request keeps <&5 || break
		[ "$keeps" ] && leave_connections "$keeps"
		take_new_identity "$name" "$id"
		echo "$time $request" >&6
		wait $!
		pause 0.5 # what comes next is the first command
	done 5<>"$1" 6<>smolvm/times
	pause 3
} 2>/dev/null

take_new_identity() { # hostname machine-id
	echo "$1" >proc/sys/kernel/hostname
	name=$1
	first_line /etc/hostname
	overwrite "$line" "$name" /etc/hostname
	name_in_hosts
	first_line /etc/machine-id
	overwrite "$line" "$2" /etc/machine-id
}

# This machine was copied while its source was in use: nobody is at the other end of the source's connections. What ran through
# them goes on in the background, and what it writes is read, by nobody; the rest of them ends. A keeper that saw its
# connection end would end the commands too: it goes first. A shell that was left for this machine's first commands stays. Until this is done, no packet comes or goes.
leave_connections() { # cgroup-that-stays
	for note in run/smolvm.*.keeper; do
		read -r pid <"$note" && kill -KILL "$pid"
	done
	groups=sys/fs/cgroup/smolvm
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
	read -r server_pid <run/server.pid
	read -r sessions <"proc/$server_pid/task/$server_pid/children"
	[ "$sessions" ] && kill -KILL $sessions
	rm -f run/smolvm.*.keeper
}

# The output of a worker's command, stderr included, goes through the worker's own channel: as long as a pipe has a reader, who
# writes to it lives.
drain() { # file-with-pids
	while read -r pid; do
		[ "$pid" ] || continue
		for fd in 1 8; do
			(smolvm/busybox cat "proc/$pid/fd/$fd" >dev/null &)
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

if [ "$1" ]; then read_identities "$1"; else take_identity && take_names; fi
