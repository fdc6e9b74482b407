import type { SshConnection } from "./connection.ts";
import { formatRequest } from "./guest-scripts.ts";

/** dropbear takes requests of up to 9000 bytes; what goes with the code is less than this. */
const LONGEST_CODE = 4000;

const STORE = 'umask 077;f=/run/$1;{ true >"$f"; } 2>/dev/null||f=/tmp/$1;exec cat >"$f"';

/** Code that comes to the same as `code` and fits into a request: what is too long lies in a file called `name` until then. */
export async function fitIntoRequest(code: string, name: string, connection: SshConnection): Promise<string> {
  if (Buffer.byteLength(code) <= LONGEST_CODE) return code;
  const channel = await connection.exec(formatRequest(STORE, [name]), null);
  channel.setSink(() => true);
  await channel.write(Buffer.from(code)).catch(() => {}); // that it is gone shows where the file is looked for
  channel.end();
  await channel.closed;
  // Command substitution takes newlines off the end.
  const read = `__f=/run/${name};[ -O $__f ]||__f=/tmp/${name};__c=$(cat $__f&&echo .);rm -f $__f`;
  return `${read};eval "unset __f __c;\${__c%.}"`;
}
