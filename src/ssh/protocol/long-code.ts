import type { SshConnection } from "../transport/ssh-connection.ts";
import { formatRequest } from "./guest-scripts.ts";

/** dropbear takes requests of up to 9000 bytes; what goes with the code is less than this. */
const LONGEST_CODE = 4000;

const STORE = 'umask 077;exec cat >"/run/$1"';

/**
 * Code that fits into a request, and the file of ours that it reads, which is called `name`; "" where it needs none. What is secret
 * is not in the request, which everybody in the guest can read as a command line.
 */
export async function fitIntoRequest(
  code: string,
  { name, isSecret }: { readonly name: string; readonly isSecret: boolean },
  connection: SshConnection,
): Promise<{ readonly code: string; readonly file: string }> {
  if (!isSecret && Buffer.byteLength(code) <= LONGEST_CODE) return { code, file: "" };
  const channel = await connection.exec(formatRequest(STORE, [name]), null);
  channel.setSink(() => true);
  await channel.write(Buffer.from(code)).catch(() => {}); // that it is gone shows where the file is looked for
  channel.end();
  await channel.closed;
  // Its descriptor was opened by exec-terminal.sh. Command substitution takes newlines off the end.
  return { code: `__c=$(cat <&9&&echo .);exec 9<&-;eval "unset __c;\${__c%.}"`, file: name };
}
