# Lets in, by an ordinary SSH client, each user of the image's passwd. Sourced by shells of ours with the image's root and our own
# as their working directory. Only names that no shell and no file of ours can take for something else; ours come first, and stay.

take_names() {
	names="@smolvm:x:0:0::/:/bin/sh${nl}root:x:0:0::/:/smolvm/enter$nl" lines=0
	if [ -f /etc/passwd ]; then
		while [ $lines -lt 5000 ] && { IFS=: read -r -n 4096 name _ || [ "$name" ]; }; do
			lines=$((lines + 1))
			case $name in '' | [!A-Za-z_]* | *[!A-Za-z0-9_.-]* | ?????????????????????????????????*) continue ;; esac
			names="$names$name:x:0:0::/:/smolvm/enter$nl"
		done </etc/passwd
	fi
	echo "${names%"$nl"}" >etc/passwd.new
	mv etc/passwd.new etc/passwd
}
