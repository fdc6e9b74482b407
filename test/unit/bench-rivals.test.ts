import { describe, expect, it } from "vitest";
import { parseMirrors } from "../../bench/rivals/apt-mirror.ts";
import { sshTo, withOptions } from "../../bench/rivals/openssh.ts";
import {
  filesBelow,
  lastDescriptor,
  machineFolderOf,
  moveMachine,
  parseCommandLine,
} from "../../bench/rivals/qemu-arguments.ts";
import { chooseSeed, seededRandom } from "../support/random.ts";

const QEMU = [
  "qemu-system-x86_64",
  "-S",
  "-initrd",
  "/h/vms/a1/initramfs.cpio",
  "-blockdev",
  '{"driver":"qcow2","file":{"driver":"file","filename":"/h/vms/a1/disk.qcow2"}}',
  "-kernel",
  "/h/images/x/vmlinux",
  "-netdev",
  "user,id=net,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=tcp:127.0.0.1:0-:80",
  "-append",
  "",
];

describe("plain QEMU", () => {
  it("is given the arguments of one of our machines, empty ones too", () => {
    expect(parseCommandLine(QEMU.map((word) => `${word}\0`).join(""))).toEqual(QEMU);
  });

  it("gets back any arguments that have no NUL in them", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let n = 0; n < 300; n++) {
      const words = Array.from({ length: 1 + random(6) }, () =>
        String.fromCharCode(...Array.from({ length: random(8) }, () => 1 + random(0xd700))),
      );
      expect(parseCommandLine(words.map((word) => `${word}\0`).join("")), `seed ${seed}`).toEqual(words);
    }
  });

  it("works on files and a port of its own, with the same kernel, and does not wait to be resumed", () => {
    const moved = moveMachine(QEMU, machineFolderOf(QEMU), "/t/plain", 2222);
    expect(moved).toEqual([
      "qemu-system-x86_64",
      "-initrd",
      "/t/plain/initramfs.cpio",
      "-blockdev",
      '{"driver":"qcow2","file":{"driver":"file","filename":"/t/plain/disk.qcow2"}}',
      "-kernel",
      "/h/images/x/vmlinux",
      "-netdev",
      "user,id=net,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:0-:80",
      "-append",
      "",
    ]);
  });

  it("needs a copy of each of the machine's own files, once", () => {
    const twice = [...QEMU, "-drive", "file=/h/vms/a1/disk.qcow2"];
    expect(filesBelow(twice, "/h/vms/a1")).toEqual(["/h/vms/a1/initramfs.cpio", "/h/vms/a1/disk.qcow2"]);
  });

  it("is handed down as many sockets as the machine was", () => {
    expect(
      lastDescriptor([...QEMU, "-chardev", "socket,fd=3,id=qmp", "-chardev", "socket,fd=12,id=last"]),
    ).toBe(12);
    expect(lastDescriptor(QEMU)).toBe(2);
  });

  it("can't be made out of arguments without an initramfs", () => {
    expect(() => machineFolderOf(["qemu-system-x86_64", "-kernel", "/k"])).toThrow("no -initrd");
  });
});

describe("OpenSSH", () => {
  it("takes the options before those of the line that is pasted", () => {
    const ssh = withOptions(["ssh", "-p", "22", "root@127.0.0.1"], "-o", "ControlPath=/s");
    expect(ssh[0]).toBe("ssh");
    expect(ssh.slice(-5)).toEqual(["-o", "ControlPath=/s", "-p", "22", "root@127.0.0.1"].slice(-5));
    expect(ssh.slice(1, 3)).toEqual(["-F", "none"]);
  });

  it("logs in to the bench's own guests with the bench's key", () => {
    expect(sshTo(2222, "/k").slice(-5)).toEqual(["-i", "/k", "-p", "2222", "root@127.0.0.1"]);
  });
});

describe("the Debian mirror of this host", () => {
  it.each([
    ["deb http://m.example/debian trixie main", ["http://m.example/debian"]],
    ["deb [arch=amd64 signed-by=/k] https://m.example/debian/ trixie main", ["https://m.example/debian"]],
    [
      "Types: deb\nURIs: http://a.example/debian http://b.example/debian\nSuites: trixie",
      ["http://a.example/debian", "http://b.example/debian"],
    ],
    ["# deb http://m.example/debian trixie main", []],
    ["deb-src http://m.example/debian trixie main", []],
    ["deb http://m.example/debian-security trixie-security main", []],
    ["deb https://other.example/nodejs nodistro main", []],
    ["URIs: cdrom:[Debian]/ file:/srv/debian", []],
    ["", []],
  ])("in %j", (text, expected) => {
    expect(parseMirrors(text)).toEqual(expected);
  });

  it("is an address of the file or none, whatever the file", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const parts = [
      "deb ",
      "URIs: ",
      "[a=b] ",
      "[",
      "]",
      "http://x.example/debian",
      "/debian",
      " ",
      "\n",
      "#",
      "\0",
      "é",
    ];
    for (let n = 0; n < 500; n++) {
      const text = Array.from({ length: random(15) }, () => parts[random(parts.length)]).join("");
      for (const mirror of parseMirrors(text)) {
        expect(text, `seed ${seed}`).toContain(mirror);
        expect(mirror, `seed ${seed}`).toMatch(/^https?:\/\/\S+\/debian$/);
      }
    }
  });
});
