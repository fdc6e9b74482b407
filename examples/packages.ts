// The distribution's package manager and network are there: install, then run Python and jq.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { SmolVM } from "smolvm";

await using vm = await SmolVM.create();

await vm.run("apt-get update && apt-get install -y --no-install-recommends python3 jq", {
  timeout: "10m",
  check: true,
  env: { DEBIAN_FRONTEND: "noninteractive" },
});

const python = await vm.run(`python3 - <<'EOF'
import sys
print("Python", sys.version.split()[0])
print(sum(n * n for n in range(10)))
EOF`);
console.log(python.output);

// The guest reaches this host's loopback at 10.0.2.2.
const server = createServer((_, response) =>
  response.end('{ "fruit": [{ "name": "apple" }, { "name": "pear" }] }'),
);
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address() as AddressInfo;
const get = `import urllib.request as http; print(http.urlopen("http://10.0.2.2:${port}/").read().decode())`;
const json = await vm.run(`python3 -c '${get}' | jq -r '.fruit[].name'`);
console.log(json.output);
server.close();
