# The trial guest: tells that a kernel and a program ran under an accelerator. Sourced by init.sh.
echo "smolvm: ready"
usleep 300000 # the console is drained meanwhile
poweroff -f
while :; do sleep 60; done
