# /etc/profile of the image "tiny".
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PS1='\u@\h:\w\$ '
for __smolvm_file in /etc/profile.d/*.sh; do
	if [ -f "$__smolvm_file" ] && [ -r "$__smolvm_file" ]; then . "$__smolvm_file"; fi
done
unset __smolvm_file
