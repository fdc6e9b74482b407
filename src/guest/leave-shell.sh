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
# In the foreground: what a shell puts in the background ignores SIGINT. Each port can be opened once only.
exec setsid /bin/sh -c 'eval "$__script"' sh "$@" <>"$main" >&0 2>"$errors"
