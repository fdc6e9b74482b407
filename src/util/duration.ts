import { ValidationError } from "../errors.ts";

/** A number is seconds; a string carries its unit: "500ms", "30s", "5m", "2h". */
export type Duration = number | string;

export const MAX_SECONDS = 86_400;
const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of `value`, the option called `name`; ValidationError for anything but a positive, finite duration of at most a day. */
export function parseDurationMs(value: unknown, name: string): number {
  if (typeof value === "number") return secondsToMs(value, name);
  if (typeof value === "string") return textToMs(value, name);
  throw refused(name, value);
}

function secondsToMs(seconds: number, name: string): number {
  if (seconds > MAX_SECONDS && Number.isFinite(seconds)) {
    const meant = seconds / 1000;
    throw new ValidationError(
      `${name} is in seconds; did you mean ${meant}? Given ${seconds}, at most ${MAX_SECONDS} is allowed.`,
      {
        details: { option: name, given: seconds },
      },
    );
  }
  if (!Number.isFinite(seconds) || seconds <= 0) throw refused(name, seconds);
  return seconds * 1000;
}

function textToMs(text: string, name: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  const ms = match ? Number(match[1]) * (UNITS_MS[match[2] ?? ""] ?? Number.NaN) : Number.NaN;
  if (!(ms > 0) || ms > MAX_SECONDS * 1000) throw refused(name, text);
  return ms;
}

function refused(name: string, value: unknown): ValidationError {
  const given = typeof value === "string" ? JSON.stringify(value) : String(value);
  return new ValidationError(
    `${name} must be a number of seconds above 0 and at most ${MAX_SECONDS}, or a string such as "500ms", "30s", "5m" or "2h"; given ${given}.`,
    { details: { option: name, given: value } },
  );
}
