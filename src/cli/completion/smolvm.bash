# Completion of smolvm for bash. Each press of Tab asks smolvm itself.
_smolvm() {
  local candidate
  COMPREPLY=()
  while IFS= read -r candidate; do
    COMPREPLY+=("${candidate%%$'\t'*}")
  done < <(command smolvm __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _smolvm smolvm
