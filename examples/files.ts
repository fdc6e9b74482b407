// Files by plain commands: write, read, test, download.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { SmolVM } from "smolvm";

await using vm = await SmolVM.create();

// What is given as standard input needs no quoting.
await vm.run("mkdir -p /work && cat > /work/notes.txt", {
  stdin: 'first line\nit\'s $HOME, "quoted"\n',
  check: true,
});
console.log((await vm.run("cat /work/notes.txt")).stdout);

const isThere = async (path: string) => (await vm.run(["test", "-e", path])).ok;
console.log("notes.txt:", await isThere("/work/notes.txt"));
console.log("other.txt:", await isThere("/work/other.txt"));

// A server of this program's, with a redirection that `curl -L` follows.
const server = createServer((request, response) => {
  if (request.url === "/latest") response.writeHead(302, { location: "/v1.txt" }).end();
  else response.end("downloaded\n");
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address() as AddressInfo;
await vm.run("apt-get update && apt-get install -y curl", { timeout: "5m", check: true });
await vm.run(`curl -sS -L -o /work/file.txt http://10.0.2.2:${port}/latest`, { check: true });
console.log((await vm.run("cat /work/file.txt")).output);
server.close();
