// An SSH server in a process of its own that keeps none of the bounds that a server should: node flood-server.mjs FOLDER KIND. In the folder
// is its key "s". It prints its port, and then floods in the way of its kind as soon as a command was given, or before. Answers like a guest
// otherwise. Ends with its stdin.
import { readFileSync } from "node:fs";
import ssh2 from "ssh2";

const [, , folder, kind] = process.argv;
const BIG = Buffer.alloc(32_000, "x");
const TINY = Buffer.from("x");
const MOST_WAITING = 4e6;
const UNKNOWN_CHANNEL = 4321;

/** Calls it again and again, as long as the client reads. */
function flood(client, send) {
  const socket = client._sock;
  const push = () => {
    if (socket.destroyed) return;
    for (let i = 0; i < 200 && socket.writableLength < MOST_WAITING; i++) send();
    setTimeout(push, 1);
  };
  push();
}

/** A message of SSH, as its bytes: ssh2's server sends none of these by itself. */
function sendRaw(client, payload) {
  const protocol = client._protocol;
  const start = protocol._packetRW.write.allocStart;
  const packet = protocol._packetRW.write.alloc(payload.length);
  packet.set(payload, start);
  protocol._cipher.encrypt(protocol._packetRW.write.finalize(packet));
}

const text = (value) => Buffer.concat([Buffer.from([0, 0, 0, value.length]), Buffer.from(value)]);
const GLOBAL_REQUEST = Buffer.concat([Buffer.from([80]), text("what@ever"), Buffer.from([1])]);
const OPEN = Buffer.concat([Buffer.from([90]), text("what@ever"), Buffer.alloc(12, 1)]);
const IGNORE = Buffer.concat([Buffer.from([2, 0, 0, 0x70, 0]), Buffer.alloc(0x7000)]);

function floodsOf(client, channel) {
  const { outgoing } = channel;
  const { _protocol: protocol } = client;
  const open = () => Object.assign(outgoing, { window: 2 ** 31 });
  return {
    stdout: () => open() && protocol.channelData(outgoing.id, BIG),
    stderr: () => open() && protocol.channelExtData(outgoing.id, BIG, 1),
    extended: () => open() && protocol.channelExtData(outgoing.id, BIG, 7),
    empty: () => protocol.channelData(outgoing.id, Buffer.alloc(0)),
    unknown: () => protocol.channelData(UNKNOWN_CHANNEL, BIG),
    requests: () => sendRaw(client, GLOBAL_REQUEST),
    opens: () => sendRaw(client, OPEN),
    ignore: () => sendRaw(client, IGNORE),
  };
}

/** As much as the window lets it send, in the smallest pieces, on both streams by turns. */
function crumble(client, { outgoing }) {
  const { _protocol: protocol } = client;
  let left = outgoing.window;
  let turn = 0;
  flood(client, () => {
    if (left-- <= 0) return;
    if (turn++ % 2 === 0) protocol.channelData(outgoing.id, TINY);
    else protocol.channelExtData(outgoing.id, TINY, 1);
  });
}

function answerKeeper(channel) {
  channel.write(kind === "numbers" ? "keeper 1 1 bash lots NaN\n" : "keeper 1 1 bash 500000 400000\n");
  channel.on("data", (data) => {
    for (const line of data.toString().split("\n"))
      if (line) channel.write(`${line.split(" ")[0]} 0 400000\n`);
  });
}

/** A worker, whose first line says by which word it is to be known. */
function serve(client, channel) {
  channel.once("data", (line) => {
    work(client, channel, /smolvm-[0-9a-f]{16}/.exec(line.toString())[0]);
    channel.emit("data", line);
  });
}

function work(client, channel, token) {
  channel.write(`\x01${token} ready 77\n`);
  const end = (words) => {
    channel.stderr.write(`\x01${token}\n`);
    channel.write(`\x01${token} ${words}\n`);
  };
  channel.on("data", (data) => {
    for (const line of data.toString().split("\n")) {
      if (line === "exit")
        end("end 0 0 0 0"); // a shell that was started ahead of time is not wanted
      else if (/^#|plain|script|program/.test(line)) obey(client, channel, end);
    }
  });
}

function obey(client, channel, end) {
  if (kind === "crumbs") crumble(client, channel);
  else if (kind.startsWith("end ")) end(kind);
  else if (kind === "numbers") end("end 0 0 0 1");
  else if (kind === "deaf") {
    client._protocol.channelWindowAdjust(channel.outgoing.id, 2 ** 31);
    setTimeout(() => client._sock.pause(), 100);
  } else flood(client, floodsOf(client, channel)[kind]);
}

const server = new ssh2.Server({ hostKeys: [readFileSync(`${folder}/s`, "utf8")] }, (client) => {
  client.on("error", () => {});
  if (kind === "hang up") client.on("ready", () => client._sock.destroy());
  client.on("authentication", (attempt) =>
    attempt.method === "publickey" ? attempt.accept() : attempt.reject(["publickey"]),
  );
  client.on("session", (accept) =>
    accept().on("exec", (acceptExec, _reject, { command }) => {
      const channel = acceptExec();
      channel.on("error", () => {});
      if (command.includes("nsenter")) serve(client, channel);
      else answerKeeper(channel);
    }),
  );
});
let connections = 0;
server._srv.prependListener("connection", (socket) => {
  connections++;
  if (kind !== "greet") return;
  const greet = () => {
    while (!socket.destroyed && socket.writableLength < MOST_WAITING) socket.write(`${"x".repeat(1000)}\r\n`);
    if (!socket.destroyed) setTimeout(greet, 1);
  };
  greet();
});
process.stdin.on("data", () => process.stdout.write(`${connections}\n`));
process.stdin.on("end", () => process.exit());
server.listen(0, "127.0.0.1", () => process.stdout.write(`${server.address().port}\n`));
