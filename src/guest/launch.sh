# Starts the script given as $0 with the parameters that follow, where the login shell is not one that could do so itself.
# It goes by the environment, where `ps` does not show it. In a session of its own where that is to be had: dropbear
# leaves commands in its own, where a script's `kill 0` would end the connection.
export __script="$0"
if command -v setsid >/dev/null; then exec setsid /bin/sh -c 'eval "$__script"' sh "$@"; fi
exec /bin/sh -c 'eval "$__script"' sh "$@"
