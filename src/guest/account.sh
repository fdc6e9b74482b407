# The account that a connection works for, as the image has it. Sourced by shells of ours whose root is the image's and whose
# working directory is our own root still: what is ours has a path without a slash in front, and is out of reach for
# whatever leaves that folder.

# Sets account_id and what a login sets. What the guest's passwd says is not to keep anybody out: neither a fifo in its place, nor its
# length, nor that it has no root. account_id is empty where there is no such user.
find_account() { # name
	account_id='' lines=0
	if [ -f /etc/passwd ]; then
		while [ $lines -lt 5000 ] && { IFS=: read -r -n 4096 name _ id _ _ home shell || [ "$name" ]; }; do
			[ "$name" = "$1" ] && account_id=$id && break
			lines=$((lines + 1))
		done </etc/passwd
	fi
	if [ "$1" = root ] || [ "$account_id" = 0 ]; then
		[ "$account_id" = 0 ] || home=/root shell=''
		account_id=0
		case ${shell##*/} in nologin | false) shell='' ;; esac
		[ -x "$shell" ] || shell=/bin/sh
	else
		[ "$account_id" ] || home='' shell=''
		PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games
	fi
	unset SHLVL
	export USER="$1" LOGNAME="$1" HOME="${home:-/}" SHELL="${shell:-/bin/sh}" PATH
}

# Leaves our own root. What is started from here on is the image's.
go_home() {
	cd 2>/dev/null || cd /
	unset OLDPWD
}
