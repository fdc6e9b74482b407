import { randomBytes } from "node:crypto";

/** As /etc/machine-id has it (machine-id(5)): 32 lower-case hexadecimal digits. */
export function newMachineId(): string {
  return randomBytes(16).toString("hex");
}
