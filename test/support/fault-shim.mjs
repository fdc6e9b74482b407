// Loaded into every program of a world before anything else. Does nothing until the file $SMOLVM_FAULT_ORDER is there, which orders one fault of
// the programs' own host: { kind: "call", code, skip, times } has so many calls of the file system below $SMOLVM_HOME fail, after so many that
// work, and { kind: "removal" } those that remove something; { kind: "slow", folder, skip } stops the QEMU of that machine's folder by a signal, just as so manieth command is sent to it. What was
// done is noted in the file $SMOLVM_FAULT_ORDER.hit.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { Socket } from "node:net";
import { constants } from "node:os";

const { SMOLVM_FAULT_ORDER: orderPath, SMOLVM_HOME: home } = process.env;
const plain = { ...fs };
let order = null;
let left = null;

/** The order that stands, if any. */
function current() {
  let text = "";
  try {
    text = plain.readFileSync(orderPath, "utf8");
  } catch {
    return null; // nobody has given one
  }
  if (text !== order?.text) {
    order = { text, ...JSON.parse(text) };
    left = { skip: order.skip, times: order.times ?? 1 };
  }
  return order;
}

function isDue() {
  if (left.skip > 0) left.skip--;
  else if (left.times > 0) return left.times-- > 0;
  return false;
}

const note = (what) => plain.appendFileSync(`${orderPath}.hit`, `${what}\n`);

function failure(kind, name, path) {
  const standing = current();
  if (standing?.kind !== kind || !isDue()) return null;
  note(name);
  const { code } = standing;
  const message = `${code}: injected, ${name}${path ? ` '${path}'` : ""}`;
  return Object.assign(new Error(message), { code, errno: -constants.errno[code], syscall: name, path });
}

const isOurs = (path) =>
  typeof path === "string" && path.startsWith(`${home}/`) && !path.startsWith(orderPath);

function breakCalls(kind, object, names, isAsync) {
  for (const name of names) {
    const call = object[name];
    object[name] = function (...args) {
      const error = isOurs(args[0]) || isOurs(args[1]) ? failure(kind, name, args[0]) : null;
      if (error && isAsync) return Promise.reject(error);
      if (error) throw error;
      return call.apply(this, args);
    };
  }
}

function breakHandles(prototype) {
  for (const name of ["write", "writev", "writeFile", "sync", "datasync", "truncate"]) {
    const call = prototype[name];
    prototype[name] = function (...args) {
      const error = failure("call", name);
      return error ? Promise.reject(error) : call.apply(this, args);
    };
  }
}

const CALLS = [
  "mkdir",
  "mkdtemp",
  "writeFile",
  "rename",
  "copyFile",
  "link",
  "symlink",
  "chmod",
  "open",
  "readFile",
];
const REMOVALS = ["rm", "rmdir", "unlink"];

/** Of all that live, QEMU alone has this mark and that name. */
function findQemu(folder) {
  for (const pid of plain.readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const isQemu = plain.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("qemu-system");
      const marks = isQemu ? plain.readFileSync(`/proc/${pid}/environ`, "utf8").split("\0") : [];
      if (marks.includes(`SMOLVM_MACHINE_FOLDER=${folder}`)) return Number(pid);
    } catch {
      // It has ended meanwhile.
    }
  }
  return null;
}

function slowDown() {
  const write = Socket.prototype.write;
  Socket.prototype.write = function (data, ...rest) {
    const standing = typeof data === "string" && data.startsWith('{"execute":') ? current() : null;
    if (standing?.kind === "slow" && isDue()) {
      const pid = findQemu(standing.folder);
      if (pid === null) left.times++;
      else {
        process.kill(pid, "SIGSTOP");
        note(`${pid} ${JSON.parse(data).execute}`);
      }
    }
    return write.call(this, data, ...rest);
  };
}

if (orderPath) {
  const handle = await fs.promises.open("/dev/null", "r");
  breakHandles(Object.getPrototypeOf(handle));
  await handle.close();
  breakCalls("call", fs.promises, CALLS, true);
  breakCalls("call", fs, ["openSync", "mkdirSync", "writeFileSync", "renameSync"], false);
  breakCalls("removal", fs.promises, REMOVALS, true);
  breakCalls("removal", fs, ["rmSync", "rmdirSync", "unlinkSync"], false);
  slowDown();
  syncBuiltinESMExports();
}
