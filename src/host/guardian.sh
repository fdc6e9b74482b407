#!/bin/sh
# Keeps one command for a creator that may die at any moment.
#
#   guardian.sh EPHEMERAL_FOLDER COMMAND [ARGUMENT...]
#
# EPHEMERAL_FOLDER is absolute and dies with the creator; "" means that no folder does.
# fd 5 is a socket whose other end only the creator holds:
#   to the creator      the command's process id, later "ended STATUS", one line each
#   from the creator    a signal name per line, passed on to the command; KEEP, the answer to "ended": the folder is to stay
#   closed              the creator is dead: the command gets SIGKILL, and the folder is removed
# fds 3, 4, 6-9 belong to the command alone, so that their other ends see it die at once.
#
# The guardian is the command's parent: until its `wait` returns, the process id can't be used again.
set -u
umask 077

folder=$1
shift

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

"$@" 5>&- &
command=$!

# From here on only: an ignored signal would stay ignored in the command.
trap '' HUP INT TERM PIPE
exec 3>&- 4>&- 6>&- 7>&- 8>&- 9>&-
echo "$command" >&5

# The only blocking read there is sits in a process of its own; the guardian itself must wait for the command.
doomed=$folder
(
  while read -r signal; do
    case $signal in
      KEEP) doomed= ;;
      *) kill -s "$signal" "$command" ;;
    esac
  done
  kill -s KILL "$command"
  # Mostly the guardian ends this one now. Where somebody killed the guardian too, nobody else is left to care. It may not even be
  # collected, and only one of the two may remove the folder: its name may be another one's by the time of the second.
  for _ in 1 2 3 4 5; do
    kill -s 0 "$$" || break
    sleep 0.1
  done
  kill -s KILL "$$"
  [ -z "$doomed" ] || rm -rf -- "$doomed"
) <&5 5>&- >/dev/null 2>&1 &
reader=$!

wait "$command" 2>/dev/null # dash would announce a death by signal
status=$?

kill -s KILL "$reader" 2>/dev/null
wait "$reader" 2>/dev/null

# Only an answer is the proof that somebody lives who cares for the folder: what is written may still reach one who is being killed.
answer=
echo "ended $status" 2>/dev/null >&5
if [ -n "$folder" ]; then
  while [ "$answer" != KEEP ] && read -r answer; do :; done <&5
  [ "$answer" = KEEP ] || rm -rf -- "$folder"
fi
exit "$status"
