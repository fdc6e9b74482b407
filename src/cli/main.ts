#!/usr/bin/env node
import { processIo } from "./io.ts";

// What is asked often is answered before anything else is loaded: `--version` by scripts, `__complete` by a shell at each press of Tab.
const argv = process.argv.slice(2);
const io = processIo();

if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-V")) {
  io.stdout.write(`${io.version()}\n`);
} else if (argv[0] === "__complete") {
  const { complete } = await import("./completion/complete.ts");
  io.stdout.write(await complete(argv.slice(1), io));
  await io.flush();
  process.exit(0);
} else {
  const { runCli } = await import("./cli.ts");
  const status = await runCli(argv, io);
  await io.flush();
  // What a library still holds open (an unread stdin, a pooled socket) must not keep a finished command alive.
  process.exit(status);
}
