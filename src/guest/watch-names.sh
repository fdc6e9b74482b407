# Keeps the list of those who may come in as the image's passwd has them, also after changes. Run by PID 1, in the image's root; it
# ends where there is no passwd, or none that can be watched (a user may have 128 watchers): PID 1 starts it again 5 s later. That file
# alone is watched, until it changes or another one takes its place: a watch of all of /etc would wake in each clone, which gets a name
# there, and cost a tenth of a second.

nl='
'
. smolvm/take-names.sh
events="-e close_write -e attrib -e move_self -e delete_self"
while [ -f /etc/passwd ]; do
	smolvm/loader --library-path smolvm/libraries smolvm/inotifywait $events /etc/passwd 2>smolvm/names >dev/null &
	watched=''
	while read -r line; do
		[ "$line" = "Watches established." ] && watched=1 && take_names
	done <smolvm/names
	wait
	if [ -z "$watched" ]; then take_names && break; fi
done
