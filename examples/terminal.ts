// A terminal of the guest, joined with any pair of streams. With process.stdin and process.stdout it is yours, as with `smolvm run -it`.
import { PassThrough } from "node:stream";
import { SmolVM } from "smolvm";

await using vm = await SmolVM.create();

const keyboard = new PassThrough();
const screen = new PassThrough();
let shown = "";
screen.setEncoding("utf8").on("data", (text: string) => {
  shown += text;
});
const untilShown = async (text: string) => {
  while (!shown.includes(text)) await new Promise((resolve) => screen.once("data", resolve));
  shown = shown.slice(shown.indexOf(text) + text.length);
};

const shell = await vm.shell({ columns: 100, rows: 30 });
shell.attach(keyboard, screen);
await untilShown("# ");
keyboard.write("stty size\r"); // the key Enter is a carriage return
await untilShown("30 100\r\n");
console.log("as big as it was asked for");

await untilShown("# "); // a size that comes while bash prepares its prompt is lost, as it is by `ssh -t`
shell.resize({ columns: 120, rows: 40 });
keyboard.write("stty size\r");
await untilShown("40 120\r\n");
console.log("and as it was told afterwards");

keyboard.write("echo ready; sed -u 's/^/heard: /'\r");
await untilShown("ready\r\n");
keyboard.write("hello\r");
await untilShown("heard: hello\r\n"); // now it is sed that a key ends: one that comes while bash starts it may end nothing
keyboard.write("\u0003"); // Control-C
await untilShown("# ");
keyboard.write("exit 3\r");
console.log("it ended with", (await shell.exited).exitCode);

// A single command in a terminal: its two streams are one there.
const { stdout } = await vm.run("tty; echo err >&2", { pty: { columns: 80, rows: 24 } });
console.log(JSON.stringify(stdout));
