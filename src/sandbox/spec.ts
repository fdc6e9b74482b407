import { resolve } from "node:path";
import { checkEnvVars } from "../util/env-vars.ts";
import { generateId, generateName, parseName } from "../util/names.ts";
import { checkOptionKeys, refuse } from "../util/options.ts";
import type { SmolVMOptions, VMConfig } from "./options.ts";

/** What a machine is to be: complete, checked, and never changed. No default is applied below this. */
export interface MachineSpec {
  readonly id: string;
  readonly name: string;
  readonly source: ImageSource;
  readonly memoryMib: number;
  readonly cpus: number;
  readonly diskMib: number;
  readonly env: Readonly<Record<string, string>>;
  readonly network: "open" | "off";
  readonly ports: readonly PortSpec[];
  readonly labels: Readonly<Record<string, string>>;
  readonly template: "auto" | "off";
  readonly accelerator: "auto" | "kvm" | "hvf" | "tcg";
  readonly sshUser: string;
  readonly sshKeyPath: string | null;
}

export type ImageSource =
  | { readonly kind: "image"; readonly name: string }
  | {
      readonly kind: "own";
      readonly kernelPath: string;
      readonly initrdPath: string | null;
      readonly rootfsPath: string;
      readonly bootArgs: string;
    };

export interface PortSpec {
  readonly guest: number;
  /** Null: any free one. */
  readonly host: number | null;
}

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
  return {
    id: generateId(),
    name: options.name === undefined ? generateName() : parseName(options.name),
    source: parseSource(options),
    memoryMib: wholeNumber("memSizeMib", options.memSizeMib, 512, 64, 65_536),
    cpus: wholeNumber("vcpuCount", options.vcpuCount, 1, 1, 32),
    diskMib: wholeNumber("diskSizeMib", options.diskSizeMib, 4096, 1, 16 * 1024 * 1024),
    env: checkEnvVars(options.env ?? {}, "env"),
    network: oneOf("network", options.network, ["open", "off"]),
    ports: parsePorts(options.ports),
    labels: parseLabels(options.labels),
    template: oneOf("template", options.template, ["auto", "off"]),
    accelerator: oneOf("accelerator", options.accelerator, ["auto", "kvm", "hvf", "tcg"]),
    sshUser: parseUser(options.sshUser),
    sshKeyPath: options.sshKeyPath === undefined ? null : parsePath("sshKeyPath", options.sshKeyPath),
  };
}

function checkSurroundings({ persistent, signal, onProgress }: SmolVMOptions): void {
  if (persistent !== undefined && persistent !== false) {
    throw refuse(
      "persistent",
      persistent,
      "false: machines that outlive their process are not supported yet",
    );
  }
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw refuse("signal", signal, "an AbortSignal");
  if (onProgress !== undefined && typeof onProgress !== "function")
    throw refuse("onProgress", onProgress, "a function");
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

function parseUser(value: unknown = "root"): string {
  if (typeof value === "string" && /^[a-z_][a-z0-9_-]{0,31}$/.test(value)) return value;
  throw refuse("sshUser", value, "a user name of the guest");
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

function parseLabels(labels: unknown): Readonly<Record<string, string>> {
  if (labels === undefined) return {};
  const isMap = typeof labels === "object" && labels !== null && !Array.isArray(labels);
  if (!isMap || !Object.values(labels).every((value) => typeof value === "string")) {
    throw refuse("labels", labels, "an object whose values are strings");
  }
  return { ...(labels as Record<string, string>) };
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
