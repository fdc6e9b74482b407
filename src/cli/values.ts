import { UsageError } from "./command.ts";

const MIB_PER: Readonly<Record<string, number>> = { "": 1, m: 1, g: 1024 };

/** MiB of "512", "512M" or "2G". The library checks the range. */
export function parseMib(text: string): number {
  const match = /^(\d+)([mg]?)(?:i?b)?$/i.exec(text);
  if (!match?.[1]) throw new UsageError('Give MiB as a whole number, or with a unit: "512", "512M", "2G".');
  return Number(match[1]) * (MIB_PER[(match[2] ?? "").toLowerCase()] ?? 1);
}

export function parseCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError("Give a whole number.");
  return Number(text);
}

const SECONDS_PER: Readonly<Record<string, number>> = { ms: 0.001, s: 1, "": 1, m: 60, h: 3600 };
const MOST_SECONDS = 86_400;

/** The library's notation: "500ms", "30s", "5m", "2h"; a bare number is seconds. Checked here, where no machine has been started yet. */
export function parseDuration(text: string): number | string {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|)$/.exec(text);
  const seconds = Number(match?.[1]) * (SECONDS_PER[match?.[2] ?? ""] ?? Number.NaN);
  if (!(seconds > 0 && seconds <= MOST_SECONDS)) {
    throw new UsageError('Give a time above 0 and of at most a day: "500ms", "30s", "5m", "2h", or seconds.');
  }
  return match?.[2] ? text : seconds;
}

/** "NAME=VALUE", or "NAME" for the value it has here; joined to the variables before it. */
export function parseEnv(
  text: string,
  previous: unknown,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Readonly<Record<string, string>> {
  const equals = text.indexOf("=");
  const name = equals === -1 ? text : text.slice(0, equals);
  const value = equals === -1 ? valueHere(env, name) : text.slice(equals + 1);
  if (name === "") throw new UsageError("Give NAME=VALUE, or NAME for the value it has here.");
  if (value === undefined) throw new UsageError(`${name} is not set here. Give ${name}=VALUE.`);
  return { ...(previous as Record<string, string> | undefined), [name]: value };
}

/** A name such as "constructor" is there by inheritance only. */
function valueHere(env: Readonly<Record<string, string | undefined>>, name: string): string | undefined {
  return Object.hasOwn(env, name) ? env[name] : undefined;
}

/** "KEY=VALUE", joined to the labels before it. The library checks what they may hold. */
export function parseLabel(text: string, previous: unknown): Readonly<Record<string, string>> {
  const [, key, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (key === undefined || value === undefined) throw new UsageError("Give KEY=VALUE.");
  return { ...(previous as Record<string, string> | undefined), [key]: value };
}

/** A port of the guest, and the one of this host that leads there; without it a free one is taken. */
export interface Forward {
  readonly guest: number;
  readonly host?: number;
}

/** "HOST:GUEST" or "GUEST", joined to the ports before it. */
export function parseForward(text: string, previous: unknown): readonly Forward[] {
  const match = /^(?:(\d{1,5}):)?(\d{1,5})$/.exec(text);
  const [host, guest] = [match?.[1], match?.[2]].map((port) =>
    port === undefined ? undefined : Number(port),
  );
  if (!isPort(guest) || !(host === undefined || isPort(host)))
    throw new UsageError("Give HOST:GUEST or GUEST, ports from 1 to 65535: 8080:80, or 80.");
  return [...((previous as Forward[] | undefined) ?? []), { guest, ...(host !== undefined && { host }) }];
}

function isPort(port: number | undefined): port is number {
  return port !== undefined && port >= 1 && port <= 65_535;
}

/** How many processors, in parts too. */
export function parseCpuShare(text: string): number {
  if (!/^\d+(?:\.\d+)?$/.test(text) || Number(text) === 0)
    throw new UsageError("Give a number above 0: 0.5, 2.");
  return Number(text);
}
