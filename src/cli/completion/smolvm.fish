# Completion of smolvm for fish. Each press of Tab asks smolvm itself.
function __smolvm_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -e words[1]
    command smolvm __complete $words "$current" 2>/dev/null
end
complete -c smolvm -f -a '(__smolvm_complete)'
