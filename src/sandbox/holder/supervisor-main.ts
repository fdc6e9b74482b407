import { supervise } from "./supervisor.ts";

/** A process of its own: see spawn-supervisor.ts. */
const [, , name = ""] = process.argv;
await supervise(name);
// What the machine's own libraries still hold open must not keep it alive.
process.exit(0);
