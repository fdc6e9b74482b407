# How long and what time it is: sourced by init-live.sh.

# How long what lives may take to end, in milliseconds.
note_grace() { # grace and-more
	echo "${1%% *}" >$smolvm/grace
	:
}

# By a clock that nobody sets, in hundredths of a second.
read_uptime() {
	now=0
	read -r now _ </proc/uptime
	now=${now%.*}${now#*.}
}

# When what lives is to be ended, by that clock: a second from now where the host has not said.
read_deadline() {
	grace=''
	read -r grace <$smolvm/grace
	case $grace in '' | *[!0-9]*) grace=1000 ;; esac
	read_uptime
	deadline=$((now + grace / 10))
}

# Told what time it is, sets a clock that is behind to the whole second, at once and only forward: however late this is read, it does no
# harm. One that is far ahead may only seem to be, where this is read late: the host knows, and sends the time again.
compare_clock() { # seconds and-milliseconds request
	own=$EPOCHREALTIME
	ahead=$(((${own%.*} - $1) * 1000 + (1${own#*.} - 1000000) / 1000 - $2))
	if [ $ahead -lt -200 ] && [ "${own%.*}" -lt "$1" ]; then
		(exec_date "$1" "$3")
	elif [ $ahead -gt 700 ]; then
		echo "smolvm: ahead $3"
	fi
}
