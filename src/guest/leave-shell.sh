# Leaves a worker in a machine that is to be saved, at two serial ports that lead to the host: a machine that is restored
# then has a shell that waits, and needs no new process of the SSH server for its first command.
# $0 the worker's script, $1 and $2 the names of the ports, then the worker's parameters.
export __script="$0"
main='' errors=''
for port in /sys/class/virtio-ports/*; do
	read -r name <"$port/name" || continue
	case $name in
	"$1") main=/dev/${port##*/} ;;
	"$2") errors=/dev/${port##*/} ;;
	esac
done 2>/dev/null
shift 2
[ -c "$main" ] && [ -c "$errors" ] || exit 1
# What the worker reads when its first command has ended is known to the kernel then.
mkdir -p "$2" && read -r _ <"$2/cgroup.events"
# All that is left here would end with the connection's own cgroup, where it was started.
mkdir -p "$1" && echo 0 >"$1/cgroup.procs"
# A port can be opened only once: a command that opens its /dev/stderr again needs a pipe there, as it has over SSH.
mkfifo /run/smolvm.out /run/smolvm.err || exit 1
exec 3<>"$main"
cat </run/smolvm.out >&3 2>/dev/null &
cat </run/smolvm.err >"$errors" 2>/dev/null 3>&- &
exec <&3 3>&- >/run/smolvm.out 2>/run/smolvm.err
rm /run/smolvm.out /run/smolvm.err
# In the foreground: what a shell puts in the background ignores SIGINT.
cd /
exec setsid nsenter -r/image smolvm/busybox sh -c 'eval "$__script"' sh "$@"
