import { randomBytes } from "node:crypto";
import type { SshChannel } from "../transport/channel.ts";

/**
 * The word that the lines of the guest's scripts begin with, by which they are told from a command's output: no command may know it. Who may
 * look into the memory of our shells, root and who has the account of all the commands anyway, can read it there.
 */
export function newToken(): string {
  return `smolvm-${randomBytes(8).toString("hex")}`;
}

/** Tells it the script that was started on this channel. In the request everybody in the guest could read it. */
export function introduce(channel: SshChannel, token: string): void {
  channel.write(Buffer.from(`${token}\n`)).catch(() => {}); // that the channel is gone shows in its end
}
