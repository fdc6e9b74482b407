#!/usr/bin/env node
// Stands for QEMU: speaks QMP on fd 3 and is a guest's console on fd 4. A boot argument chooses what it does.
import { Socket } from "node:net";

const name = /fake=(\S+)/.exec(process.argv[process.argv.indexOf("-append") + 1])[1].replaceAll("-", " ");
const qmp = new Socket({ fd: 3, readable: true, writable: true });
const serial = new Socket({ fd: 4, readable: true, writable: true });

const say = (message) => qmp.write(`${JSON.stringify(message)}\r\n`);
const event = (event) => say({ event, data: {}, timestamp: { seconds: 1, microseconds: 0 } });
const show = (...lines) => serial.write(lines.map((line) => `${line}\r\n`).join(""));
const greet = () =>
  say({ QMP: { version: { qemu: { major: 7, minor: 2, micro: 0 }, package: "fake" }, capabilities: [] } });
const USERNET = "  TCP[HOST_FORWARD]   3       127.0.0.1 40022       10.0.2.15    22     0     0\r\n";

/** What the guest does once QEMU has been greeted. */
const GUESTS = {
  ready: () => show("SeaBIOS", "[    0.1] Linux version 6.12", "smolvm: ready"),
  failed: () => show("smolvm: failed: no disk /dev/vda"),
  panic: () => {
    show("[    0.9] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)");
    setTimeout(() => process.exit(0), 20);
  },
  crashing: () => process.kill(process.pid, "SIGSEGV"),
  leaving: () => process.exit(0),
  silent: () => {},
  stuck: () => event("STOP"),
  flooding: () => serial.write(Buffer.alloc(1 << 20, "x"), () => show("", "smolvm: ready")),
  working: () => {
    show("smolvm: progress 1 of 2", "smolvm: progress 2 of 2", "smolvm: done");
    setTimeout(() => process.exit(0), 20);
  },
  lingering: () => show("smolvm: done"),
  stopping: () => show("smolvm: progress 1 of 2", "smolvm: failed: out of space"),
};

const ANSWERS = {
  qmp_capabilities: () => ({}),
  "query-status": () => ({ status: name === "stuck" ? "internal-error" : "running" }),
  "human-monitor-command": () => USERNET,
  cont: () => ({}),
  stop: () => ({}),
  system_powerdown: () => setTimeout(() => process.exit(0), 20),
};

/** Names that change how QEMU itself behaves. */
const QUIRKS = {
  "ends at once": () => {
    process.stderr.write("qemu-system-fake: error: out of luck\n");
    process.exit(1);
  },
  "never greets": () => {},
  "greets with noise": () => qmp.write("HELLO\r\n"),
  "greets and ends": () => {
    ANSWERS.qmp_capabilities = () => process.exit(1);
    greet();
  },
  "refuses to negotiate": () => {
    ANSWERS.qmp_capabilities = undefined;
    greet();
  },
  "forgets its port": () => {
    ANSWERS["human-monitor-command"] = () => "usernet not in use\r\n";
    greet();
  },
  "ends when asked": () => {
    ANSWERS["query-status"] = () => process.exit(3);
    greet();
    GUESTS.ready();
  },
};

/** What it takes to end it. */
const STUBBORN = {
  "deaf guest": ["quit", "SIGTERM"],
  "deaf to quit": ["SIGTERM"],
  "deaf to all": [],
};

const obeys = (way) => !(name in STUBBORN) || STUBBORN[name].includes(way);

qmp.setEncoding("utf8");
let text = "";
qmp.on("data", (chunk) => {
  text += chunk;
  for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
    answer(JSON.parse(text.slice(0, end)));
    text = text.slice(end + 1);
  }
});
serial.on("data", (chunk) => {
  if (String(chunk).includes("smolvm poweroff") && obeys("guest")) process.exit(0);
});
process.on("SIGTERM", () => obeys("SIGTERM") && process.exit(0));

function answer({ execute, id }) {
  if (execute === "quit") {
    say({ return: {}, id });
    if (obeys("quit")) process.exit(0);
  } else if (ANSWERS[execute]) {
    say({ return: ANSWERS[execute](), id });
    if (execute === "qmp_capabilities") (GUESTS[name] ?? GUESTS[name in STUBBORN ? "ready" : "silent"])();
  } else {
    say({ error: { class: "CommandNotFound", desc: `The command ${execute} has not been found` }, id });
  }
}

if (QUIRKS[name]) QUIRKS[name]();
else greet();
