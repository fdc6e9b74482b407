# Runs OpenSSH's server in place of dropbear. Sourced by init-run.sh. The seed's key is in dropbear's form: the type's name, then 32 bytes
# of seed and the 32 of the public key. OpenSSH wants them in its own (PROTOCOL.key of OpenSSH), of which all but these bytes is fixed.

host_key=$smolvm/ssh_host_ed25519_key

public_blob() { # string "ssh-ed25519", string public key
	printf '\0\0\0\013ssh-ed25519\0\0\0\040'
	tail -c 32 $seed/host_key_ed25519
}

private_blob() {
	printf 'openssh-key-v1\0\0\0\0\004none\0\0\0\004none\0\0\0\0\0\0\0\001\0\0\0\063'
	public_blob
	printf '\0\0\0\210smolsmol'
	public_blob
	printf '\0\0\0\100'
	tail -c 64 $seed/host_key_ed25519
	printf '\0\0\0\0\001\002\003\004\005'
}

umask 077
{
	echo "-----BEGIN OPENSSH PRIVATE KEY-----"
	private_blob | base64
	echo "-----END OPENSSH PRIVATE KEY-----"
} >$host_key
mkdir -p /run/sshd
umask 022
echo "HostKey $host_key
AuthorizedKeysFile $smolvm/ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
LogLevel ERROR
MaxSessions 200
Subsystem sftp internal-sftp" >$smolvm/sshd_config
exec $heed /usr/sbin/sshd -D -e -f $smolvm/sshd_config
