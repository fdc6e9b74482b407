# PID 1 in a new shell. The parameters are what it knows of its children, and what the kernel allows.
. /smolvm/init-live.sh
server_pid=$1 console_reader=$2 names_watcher=$3 identity_reader=$4 identity_port=$5 most_threads=$6 most_pids=$7
live
