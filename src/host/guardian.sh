#!/bin/sh
# Keeps one command for a creator that may die at any moment.
#
#   guardian.sh EPHEMERAL_FOLDER DISCARDED_NAME COMMAND [ARGUMENT...]
#
# EPHEMERAL_FOLDER is absolute and dies with the creator; "" means that no folder does.
# DISCARDED_NAME is what it is called first, so that it is gone at once and whole: nobody finds half of it.
# fd 0 is the gate: the command begins when "go" is read from it, and never where it ends before. By then all that protects it is there;
#   where one of these can't be started, the guardian ends, and the command has not begun
# fd 5 is a socket whose other end only the creator holds:
#   to the creator      the command's process id, later "ended STATUS", one line each
#   from the creator    a signal name per line, passed on to the command; KEEP, the answer to "ended": the folder is to stay,
#                       and nothing else is to be done
#   closed              the creator is dead: the command gets SIGKILL, and the folder is removed
# fds 3, 4, 6-9 belong to the command alone, so that their other ends see it die at once.
#
# The guardian is the command's parent: until its `wait` returns, the process id can't be used again.
set -u
umask 077

folder=$1 discarded=$2
shift 2

case $folder in
  "") ;;
  */../* | */.. | */./* | */. | *//*) bad=1 ;;
  /*/?*) ;;
  *) bad=1 ;;
esac
if [ -n "${bad:-}" ]; then
  echo "guardian: refuses to guard the folder '$folder'" >&2
  exit 125
fi

remove_folder() {
  mv -- "$folder" "$discarded" || discarded=$folder # where there can be no other name
  rm -rf -- "$discarded"
}

# It becomes the command by an exec, and so has its id already. What runs in the background has no stdin of the shell's: the gate is
# its fd 5 meanwhile.
{
  (
    read -r word <&5
    [ "$word" = go ] && exec "$@" </dev/null 5>&-
  ) &
} 5<&0
command=$!

# From here on only: an ignored signal would stay ignored in the command.
trap '' HUP INT TERM PIPE
exec </dev/null 3>&- 4>&- 6>&- 7>&- 8>&- 9>&-

# The only blocking read there is sits in a process of its own; the guardian itself must wait for the command. And what is to become
# of the folder is decided there alone: whichever of the two is killed, and whenever, the other one is left to see to it.
(
  while read -r signal; do
    [ "$signal" = KEEP ] && exit
    kill -s "$signal" "$command"
  done
  kill -s KILL "$command"
  # Not for ever: where the guardian was killed too, the command may stay uncollected.
  for _ in 1 2 3 4 5; do
    kill -s 0 "$command" || break
    sleep 0.1
  done
  [ -z "$folder" ] || remove_folder
) <&5 5>&- >/dev/null 2>&1 &
reader=$!

echo "$command" >&5 # from here on the creator may open the gate
wait "$command" 2>/dev/null # dash would announce a death by signal
status=$?

# Only an answer is the proof that somebody lives who cares for the folder: what is written may still reach one who is being killed.
echo "ended $status" 2>/dev/null >&5
[ -n "$folder" ] || kill -s KILL "$reader" 2>/dev/null
wait "$reader" 2>/dev/null
if [ $? -gt 128 ] && [ -n "$folder" ]; then
  answer= # somebody killed the reader
  while [ "$answer" != KEEP ] && read -r answer; do :; done <&5
  [ "$answer" = KEEP ] || remove_folder 2>/dev/null
fi
exit "$status"
