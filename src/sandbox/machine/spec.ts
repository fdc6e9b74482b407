import { resolve } from "node:path";
import { ValidationError } from "../../errors.ts";
import type { ImageSource, MachineSpec, PortSpec } from "../../state/machine-record.ts";
import { parseDurationMs } from "../../util/duration.ts";
import { checkEnvVars } from "../../util/env-vars.ts";
import { generateId, generateName, parseName, parseUserName } from "../../util/names.ts";
import { checkFunction, checkOptionKeys, refuse } from "../../util/options.ts";
import { parseStringMap } from "../../util/string-map.ts";
import type { SmolVMOptions, VMConfig } from "./options.ts";

export type { ImageSource, MachineSpec, PortSpec };

const OPTION_KEYS = [
  "name",
  "image",
  "memSizeMib",
  "vcpuCount",
  "diskSizeMib",
  "env",
  "network",
  "ports",
  "labels",
  "persistent",
  "ttl",
  "idleTimeout",
  "hostLimits",
  "template",
  "accelerator",
  "sshUser",
  "sshKeyPath",
  "logger",
  "onProgress",
  "signal",
] as const satisfies readonly (keyof SmolVMOptions)[];
const CONFIG_KEYS = [
  "kernelPath",
  "initrdPath",
  "rootfsPath",
  "bootArgs",
] as const satisfies readonly (keyof VMConfig)[];

/** ValidationError for anything that can't be meant; touches nothing. */
export function parseSpec(options: SmolVMOptions | VMConfig = {}): MachineSpec {
  checkOptionKeys(options, [...OPTION_KEYS, ...CONFIG_KEYS], "SmolVM");
  checkSurroundings(options);
  const source = parseSource(options);
  const memoryMib = wholeNumber("memSizeMib", options.memSizeMib, 512, leastMemoryMib(source), 65_536);
  return checkSize({
    id: generateId(),
    name: options.name === undefined ? generateName() : parseName(options.name),
    source,
    memoryMib,
    cpus: wholeNumber("vcpuCount", options.vcpuCount, 1, 1, 32),
    diskMib: wholeNumber("diskSizeMib", options.diskSizeMib, 4096, 1, MOST_DISK_MIB),
    env: options.env === undefined ? {} : checkEnvVars(options.env, "env"),
    network: oneOf("network", options.network, ["open", "off"]),
    ports: parsePorts(options.ports),
    labels: options.labels === undefined ? {} : parseStringMap(options.labels, "labels"),
    persistent: parseFlag("persistent", options.persistent),
    ttlMs: parseOptionalMs("ttl", options.ttl),
    idleTimeoutMs: parseOptionalMs("idleTimeout", options.idleTimeout),
    hostLimits: parseHostLimits(options.hostLimits, memoryMib),
    template: oneOf("template", options.template, ["auto", "off"]),
    accelerator: oneOf("accelerator", options.accelerator, ["auto", "kvm", "hvf", "tcg"]),
    sshUser: options.sshUser === undefined ? "root" : parseUserName(options.sshUser, "sshUser"),
    sshKeyPath: options.sshKeyPath === undefined ? null : parsePath("sshKeyPath", options.sshKeyPath),
  });
}

/** Below these the guest's kernel panics before its server is up. */
const LEAST_MEMORY_MIB = { tiny: 96, other: 128, own: 64 } as const;
/** A guest of the least memory still grows its file system to this; for 4 TiB its kernel panics with 512 MiB. */
const MOST_DISK_MIB = 1024 * 1024;
/** As it is written down and told to other processes, a line of 4 MiB at most. */
const MOST_SPEC_BYTES = 3 * 1024 * 1024;

function leastMemoryMib(source: ImageSource): number {
  if (source.kind === "own") return LEAST_MEMORY_MIB.own;
  return source.name === "tiny" ? LEAST_MEMORY_MIB.tiny : LEAST_MEMORY_MIB.other;
}

/** What each option may hold by itself can come to too much all the same: many labels, variables of control characters. */
function checkSize(spec: MachineSpec): MachineSpec {
  const bytes = sizeOf(spec);
  if (bytes <= MOST_SPEC_BYTES) return spec;
  throw new ValidationError(
    `All options together must take at most ${MOST_SPEC_BYTES} bytes as JSON; these take ${bytes}, labels ${sizeOf(spec.labels)} of them and env ${sizeOf(spec.env)}.`,
    { details: { bytes, most: MOST_SPEC_BYTES } },
  );
}

function sizeOf(part: object): number {
  return Buffer.byteLength(JSON.stringify(part));
}

function checkSurroundings({ signal, onProgress, logger }: SmolVMOptions): void {
  if (logger !== undefined && (typeof logger !== "object" || logger === null))
    throw refuse("logger", logger, "an object with the methods debug and warn, such as console");
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw refuse("signal", signal, "an AbortSignal");
  checkFunction("onProgress", onProgress);
}

function parseSource(options: SmolVMOptions | VMConfig): ImageSource {
  const given = CONFIG_KEYS.filter((key) => key in options && (options as VMConfig)[key] !== undefined);
  if (given.length === 0) return { kind: "image", name: parseImageName(options.image) };
  const config = options as VMConfig;
  if (config.image !== undefined)
    throw refuse("image", config.image, "left out where kernelPath and rootfsPath are given");
  if (typeof config.bootArgs !== "string" || /[\0\n]/.test(config.bootArgs)) {
    throw refuse("bootArgs", config.bootArgs, "one line of kernel arguments, such as SSH_BOOT_ARGS");
  }
  return {
    kind: "own",
    kernelPath: parsePath("kernelPath", config.kernelPath),
    initrdPath: config.initrdPath === undefined ? null : parsePath("initrdPath", config.initrdPath),
    rootfsPath: parsePath("rootfsPath", config.rootfsPath),
    bootArgs: config.bootArgs.trim(),
  };
}

function parseImageName(image: unknown): string {
  return image === undefined ? "debian" : parseName(image, "image");
}

function parsePath(option: string, value: unknown): string {
  if (typeof value !== "string" || value === "" || value.includes("\0"))
    throw refuse(option, value, "a path");
  return resolve(value);
}

function parsePorts(ports: unknown): readonly PortSpec[] {
  if (ports === undefined) return [];
  if (!Array.isArray(ports)) throw refuse("ports", ports, "an array of { guest, host? }");
  return ports.map((port: unknown, index) => {
    checkOptionKeys(port, ["guest", "host"], `ports[${index}]`);
    const { guest, host } = port as { guest?: unknown; host?: unknown };
    return {
      guest: wholeNumber(`ports[${index}].guest`, guest, Number.NaN, 1, 65_535),
      host: host === undefined ? null : wholeNumber(`ports[${index}].host`, host, Number.NaN, 1, 65_535),
    };
  });
}

function parseFlag(option: string, value: unknown): boolean {
  if (value === undefined) return false;
  if (typeof value === "boolean") return value;
  throw refuse(option, value, "true or false");
}

function parseOptionalMs(option: string, value: unknown): number | null {
  return value === undefined || value === null ? null : parseDurationMs(value, option);
}

/** Less memory than the guest's own would only be a late and unkind end of it. */
function parseHostLimits(limits: unknown, leastMib: number): MachineSpec["hostLimits"] {
  checkOptionKeys(limits, ["memoryMib", "cpus"], "hostLimits");
  const { memoryMib, cpus } = (limits ?? {}) as { memoryMib?: unknown; cpus?: unknown };
  if (cpus !== undefined && !(typeof cpus === "number" && cpus >= 0.01 && cpus <= 1024))
    throw refuse("hostLimits.cpus", cpus, "a number of processors from 0.01 to 1024");
  return {
    memoryMib:
      memoryMib === undefined
        ? null
        : wholeNumber("hostLimits.memoryMib", memoryMib, Number.NaN, leastMib, 16_777_216),
    cpus: cpus ?? null,
  };
}

function wholeNumber(option: string, value: unknown, fallback: number, least: number, most: number): number {
  const number = value === undefined ? fallback : value;
  if (typeof number === "number" && Number.isInteger(number) && number >= least && number <= most)
    return number;
  throw refuse(option, value, `a whole number from ${least} to ${most}`);
}

function oneOf<const T extends string>(option: string, value: unknown, allowed: readonly [T, ...T[]]): T {
  if (value === undefined) return allowed[0];
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) throw refuse(option, value, `one of ${allowed.map((a) => `"${a}"`).join(", ")}`);
  return found;
}
