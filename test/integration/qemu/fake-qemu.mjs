#!/usr/bin/env node
// Stands for QEMU: speaks QMP on fd 3 and is a guest's console on fd 4. A boot argument chooses what it does.
import { readSync } from "node:fs";
import { connect, Socket } from "node:net";

const argumentOf = (option) => process.argv[process.argv.indexOf(option) + 1];
const restores = process.argv.includes("-incoming");
// A restored machine gets no boot arguments: there its name tells.
const name = restores
  ? argumentOf("-name").replace("guest=", "")
  : /fake=(\S+)/.exec(argumentOf("-append"))[1].replaceAll("-", " ");
const qmp = new Socket({ fd: 3, readable: true, writable: true });
const serial = new Socket({ fd: 4, readable: true, writable: true });

const say = (message) => qmp.write(`${JSON.stringify(message)}\r\n`);
const event = (event, data = {}) => say({ event, data, timestamp: { seconds: 1, microseconds: 0 } });
const show = (...lines) => serial.write(lines.map((line) => `${line}\r\n`).join(""));
const greet = () =>
  say({ QMP: { version: { qemu: { major: 7, minor: 2, micro: 0 }, package: "fake" }, capabilities: [] } });
const USERNET = "  TCP[HOST_FORWARD]   3       127.0.0.1 40022       10.0.2.15    22     0     0\r\n";

/** What the guest does once QEMU has been greeted. */
const GUESTS = {
  ready: () => show("SeaBIOS", "[    0.1] Linux version 6.12", "smolvm: ready"),
  failed: () => show("smolvm: failed: no disk /dev/vda"),
  "failed evilly": () => show("smolvm: failed: no \u001b[2J disk"),
  panic: () => {
    show("[    0.9] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)");
    setTimeout(() => process.exit(0), 20);
  },
  crashing: () => process.kill(process.pid, "SIGSEGV"),
  roomless: () => process.kill(process.pid, "SIGBUS"),
  leaving: () => process.exit(0),
  silent: () => {},
  "torn ready": () => show("smolvm: rea[    1.0] noise", "dy"),
  stuck: () => event("STOP"),
  flooding: () => serial.write(Buffer.alloc(1 << 20, "x"), () => show("", "smolvm: ready")),
  working: () => {
    show("smolvm: progress 1 of 2", "smolvm: progress 2 of 2", "smolvm: done");
    setTimeout(() => process.exit(0), 20);
  },
  lingering: () => show("smolvm: done"),
  stopping: () => show("smolvm: progress 1 of 2", "smolvm: failed: out of space"),
};

const migration = (status) => event("MIGRATION", { status });

/** Writes a state to where the host listens. */
function save(uri, text, then) {
  const socket = connect(uri.replace("unix:", ""));
  socket.on("error", () => {});
  socket.end(text, then);
}

/** What a machine does that is to be saved. */
const SAVES = {
  "saves by halves": (uri) => save(uri, "half a st", () => process.exit(1)),
  "saves nothing": (uri) => save(uri, "", () => migration("completed")),
  "says that it saved": () => migration("completed"),
  "saves for ever": () => {},
  "fails to save": () => setTimeout(() => migration("failed"), 20),
  "dies as it saves": () => process.kill(process.pid, "SIGKILL"),
};

/** What a machine does that is to be restored. */
const RESTORES = {
  "restores for ever": () => {},
  "refuses the state": () => {
    migration("failed");
    process.stderr.write("qemu-system-fake: load of migration failed: Invalid argument\n");
    setTimeout(() => process.exit(1), 20);
  },
  "dies as it restores": () => process.kill(process.pid, "SIGKILL"),
};

const ANSWERS = {
  "migrate-set-capabilities": () => ({}),
  "migrate-set-parameters": () => ({}),
  migrate_cancel: () => ({}),
  "query-migrate": () => ({ status: "failed", "error-desc": "no luck" }),
  migrate: ({ uri }) => {
    setImmediate(SAVES[name] ?? (() => save(uri, "the state", () => migration("completed"))), uri);
    return {};
  },
  "migrate-incoming": ({ uri }) => {
    const text = Buffer.alloc(100);
    const read = readSync(Number(uri.replace("fd:", "")), text, 0, 100, 0);
    show(`state: ${text.toString("utf8", 0, read)}`);
    setImmediate(RESTORES[name] ?? (() => migration("completed")));
    return {};
  },
  qmp_capabilities: () => ({}),
  "query-status": () => ({ status: name === "stuck" ? "internal-error" : "running" }),
  "human-monitor-command": () => USERNET,
  cont: () => {
    if (restores && name !== "notices nothing") setTimeout(notice, 5);
    return {};
  },
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
/** How the guest answers the request of that number, when it is told who it is, or again what time it is. */
const ANSWERERS = {
  "torn answer": (request, tell) => {
    if (request === 0) setTimeout(tell, 800, "smolvm: identity 0");
    else if (request === 1) show("smolvm: iden[    1.0] noise", "tity 1");
    else tell(`smolvm: identity ${request}`);
  },
  "late answer": (request, tell) => setTimeout(tell, request === 0 ? 800 : 0, `smolvm: identity ${request}`),
  "slow answers": (request, tell) => setTimeout(tell, 700, `smolvm: identity ${request}`),
  "wrong answers": (_, tell) => tell("smolvm: identity 77", "smolvm: identity", "smolvm: identity -1"),
  "fails to become": () => show("smolvm: failed: no clock"),
};
const answerRequest = (request, tell) =>
  (ANSWERERS[name] ?? (() => tell(`smolvm: identity ${request}`)))(Number(request), tell);

/** At the port where a restored guest hears who it is. It goes on when it is let, and notices then that it is another one. */
const identity = restores ? new Socket({ fd: 8, readable: true, writable: true }) : null;
identity?.on("data", (chunk) => {
  const request = /^\S+ [0-9a-f]{32} \d+ (\d+)\n$/.exec(String(chunk))?.[1];
  const tell = (...lines) => identity.write(lines.map((line) => `${line}\n`).join(""));
  if (request !== undefined) answerRequest(request, tell);
});
const notice = () => show("[    8.3] random: crng reseeded due to virtual machine fork");

let asked = 0;
serial.on("data", (chunk) => {
  for (const line of String(chunk).trim().split("\n")) {
    const grace = /^smolvm grace (\d+) smolvm poweroff$/.exec(line)?.[1];
    if (grace !== undefined) show(`told to end within ${grace} ms`);
    if (grace !== undefined && obeys("guest")) process.exit(0);
    if (line === "smolvm ready?" && name === "torn ready") show("smolvm: ready");
    if (line === "smolvm quiet? 0" && name !== "restless")
      (asked++ === 0 && name === "torn quiet") || show("smolvm: quiet");
    const request = /^smolvm time \d+ (\d+)$/.exec(line)?.[1];
    if (request !== undefined) answerRequest(request, show);
  }
});
process.on("SIGTERM", () => obeys("SIGTERM") && process.exit(0));

function answer({ execute, arguments: given, id }) {
  if (execute === "quit") {
    say({ return: {}, id });
    if (obeys("quit")) process.exit(0);
  } else if (ANSWERS[execute]) {
    say({ return: ANSWERS[execute](given), id });
    if (execute === "qmp_capabilities" && !restores)
      (GUESTS[name] ?? GUESTS[name in STUBBORN ? "ready" : "silent"])();
  } else {
    say({ error: { class: "CommandNotFound", desc: `The command ${execute} has not been found` }, id });
  }
}

if (QUIRKS[name]) QUIRKS[name]();
else greet();
