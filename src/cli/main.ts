#!/usr/bin/env node
import { processIo } from "./io.ts";

// `--version` is answered before anything else is loaded: scripts ask it often.
const argv = process.argv.slice(2);
const io = processIo();

if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-V")) {
  io.stdout.write(`${io.version()}\n`);
} else {
  const { runCli } = await import("./cli.ts");
  const status = await runCli(argv, io);
  await io.flush();
  // What a library still holds open (an unread stdin, a pooled socket) must not keep a finished command alive.
  process.exit(status);
}
