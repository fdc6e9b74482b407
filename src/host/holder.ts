import { probeSocket } from "./local-socket.ts";
import { here } from "./place.ts";
import { ALIVE, DEAD, judgeProcess, type ProcessIdentity, type Verdict } from "./process-identity.ts";

/**
 * Whether the process that holds something lives. Where its id means nothing here, the socket at which it listens tells: the kernel
 * keeps that for all the containers of a host, and closes it when the process dies, however it dies.
 */
export async function judgeHolder(holder: ProcessIdentity, socketPath: string): Promise<Verdict> {
  const verdict = await judgeProcess(holder);
  if (verdict.life !== "unknown") return verdict;
  const state = await probeSocket(socketPath, holder.socket);
  if (state === "listened") return ALIVE;
  return state === "refused" && isSameKernel(holder) ? DEAD : verdict;
}

/** Another host's kernel has no say in who listens here, nor this one's there. */
function isSameKernel({ bootId }: ProcessIdentity): boolean {
  return bootId !== "" && bootId === here().bootId;
}
