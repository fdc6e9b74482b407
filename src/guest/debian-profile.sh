# /etc/profile: read by every login shell of the Bourne kind. It does what Debian's own does (base-files), by builtins only:
# that one starts `id` and `run-parts`, which take longer than all the rest of a login shell.

if [ -O / ]; then # only root's shell owns it
  PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
else
  PATH="/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
fi
export PATH

if [ "${PS1-}" ]; then
  if [ "${BASH-}" ] && [ "$BASH" != "/bin/sh" ]; then
    if [ -f /etc/bash.bashrc ]; then . /etc/bash.bashrc; fi
  elif [ -O / ]; then
    PS1='# '
  else
    PS1='$ '
  fi
fi

for __smolvm_file in /etc/profile.d/*.sh; do
  case ${__smolvm_file##*/} in
  [!a-zA-Z0-9_]* | *[!a-zA-Z0-9._-]*) ;; # a name that run-parts would not take
  *) if [ -f "$__smolvm_file" ] && [ -r "$__smolvm_file" ]; then . "$__smolvm_file"; fi ;;
  esac
done
unset __smolvm_file
