# What both PID 1 and the reader of identities need.

# Without a process: nobody writes there.
pause() { # seconds
	read -r -t "$1" _ <&9
}

# Sets the time, and says so in one. An applet of busybox needs no other program for `exec`; and no time zone is looked for, where
# there is not even a folder.
exec_date() {
	export TZ=UTC0 TZDIR=/none
	exec date -s "@$1" "+smolvm: identity $2"
}
