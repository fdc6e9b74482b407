# PID 1 in a new shell. The parameters are what it knows of its children.
. /smolvm/init-live.sh
server_pid=$1 console_reader=$2 names_watcher=$3 identity_reader=$4 identity_port=$5
live
