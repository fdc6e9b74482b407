import { writeFileSync } from "node:fs";

const LOAD_ADDRESS = 0x100000;
const HEADER_BYTES = 32;
const MULTIBOOT_MAGIC = 0x1badb002;
const ADDRESSES_ARE_GIVEN = 0x10000;

/**
 * Writes a kernel of some hundred bytes that a real QEMU boots (`-kernel`, Multiboot 1, q35): it writes `greeting` to
 * the serial line, waits for the letter "w" there (as in "poweroff") unless told otherwise, and powers off. No image
 * is needed for it.
 */
export function writeBareKernel(path: string, greeting: string, waits = true): void {
  const code = machineCode(LOAD_ADDRESS + HEADER_BYTES, waits);
  const text = Buffer.from(`${greeting}\0`, "latin1");
  const end = LOAD_ADDRESS + HEADER_BYTES + code.length + text.length;
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(MULTIBOOT_MAGIC, 0);
  header.writeUInt32LE(ADDRESSES_ARE_GIVEN, 4);
  header.writeUInt32LE(-(MULTIBOOT_MAGIC + ADDRESSES_ARE_GIVEN) >>> 0, 8);
  for (const [index, address] of [
    LOAD_ADDRESS,
    LOAD_ADDRESS,
    end,
    end,
    LOAD_ADDRESS + HEADER_BYTES,
  ].entries()) {
    header.writeUInt32LE(address, 12 + 4 * index);
  }
  writeFileSync(path, Buffer.concat([header, code, text]));
}

function machineCode(address: number, waits: boolean): Buffer {
  const code = Buffer.from([
    ...[0xbe, 0, 0, 0, 0], //       mov esi, text
    ...[0xac], //             next: lodsb
    ...[0x84, 0xc0], //             test al, al
    ...[0x74, waits ? 0x07 : 0x1b], // jz wait, or off
    ...[0x66, 0xba, 0xf8, 0x03], // mov dx, 0x3f8
    ...[0xee], //                   out dx, al
    ...[0xeb, 0xf4], //             jmp next
    ...[0xf3, 0x90], //       wait: pause
    ...[0x66, 0xba, 0xfd, 0x03], // mov dx, 0x3fd (line status)
    ...[0xec], //                   in al, dx
    ...[0xa8, 0x01], //             test al, 1
    ...[0x74, 0xf5], //             jz wait
    ...[0x66, 0xba, 0xf8, 0x03], // mov dx, 0x3f8
    ...[0xec], //                   in al, dx
    ...[0x3c, 0x77], //             cmp al, 'w'
    ...[0x75, 0xec], //             jne wait
    ...[0x66, 0xba, 0x04, 0x06], // off: mov dx, 0x604 (power management control)
    ...[0x66, 0xb8, 0x00, 0x20], // mov ax, 0x2000 (sleep, type 0: off)
    ...[0x66, 0xef], //             out dx, ax
    ...[0xeb, 0xfe], //             jmp here
  ]);
  code.writeUInt32LE(address + code.length, 1);
  return code;
}
