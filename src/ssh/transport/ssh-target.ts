/** Where a machine's SSH server is, and how to know it. */
export interface SshTarget {
  readonly host: string;
  readonly port: number;
  /** Of the guest: whose commands are run. */
  readonly user: string;
  /** A private key in OpenSSH's or PEM format. */
  readonly privateKey: string;
  /** The server's public key as it shows it at the handshake; any other server is refused. */
  readonly hostKey: Uint8Array;
  /** The guest's CPU is emulated: ciphers that need no crypto instructions are preferred. */
  readonly emulated: boolean;
}
