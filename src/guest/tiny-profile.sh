# /etc/profile of the image "tiny".
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PS1='\u@\h:\w\$ '
for script in /etc/profile.d/*.sh; do
	if [ -f "$script" ] && [ -r "$script" ]; then . "$script"; fi
done
unset script
