#compdef smolvm
# Completion of smolvm for zsh. Each press of Tab asks smolvm itself.
_smolvm() {
  local line
  local -a candidates
  for line in "${(@f)$(command smolvm __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] && candidates+=("${line/$'\t'/:}")
  done
  _describe smolvm candidates
}
if [[ ${funcstack[1]} == _smolvm ]]; then
  _smolvm "$@"
else
  compdef _smolvm smolvm
fi
