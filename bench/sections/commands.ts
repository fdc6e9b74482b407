import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { SmolVM } from "smolvm";
import { type Bench, type Race, type Section, timed } from "../bench.ts";
import { judge, ratioOf, type SectionResult } from "../measure/result.ts";
import { timeProgram } from "../processes.ts";
import { cost } from "../report/readme.ts";
import { formatQuantity } from "../report/table.ts";
import { timeForkExec } from "../rivals/fork-exec.ts";
import { openMaster, splitShellWords, withOptions } from "../rivals/openssh.ts";
import { useMachine } from "./machine.ts";

const RAW = 'run("true"), raw';
const LOGIN = 'run("true"), login';
const RAW_AGAIN = `${RAW}, back to back`;
const LOGIN_AGAIN = `${LOGIN}, back to back`;
const MASTER = "OpenSSH over ControlMaster";
const MASTER_LOGIN = "OpenSSH over ControlMaster, sh -lc";
const FRESH = "OpenSSH, a fresh connection";
const FORK_EXEC = "the guest's own fork + exec";
const RAW_BESIDE = `${RAW}, after a plain ssh`;
const LOGIN_BESIDE = `${LOGIN}, after a plain ssh`;
const NAMES = [RAW, LOGIN, RAW_AGAIN, LOGIN_AGAIN, MASTER, MASTER_LOGIN, FRESH, FORK_EXEC];
const NAMES_BESIDE = [RAW_BESIDE, LOGIN_BESIDE];

/** What one small command costs on a machine that runs, against OpenSSH's client and against the guest itself. */
export const commandsSection: Section = {
  name: "commands",
  title: "One command on a running machine",
  run: runCommands,
};

/** OpenSSH has a machine of its own: what it does there would make each shell stale that waits for a command of ours. */
function runCommands(bench: Bench): Promise<SectionResult> {
  return useMachine(bench, {}, (vm) =>
    useMachine(bench, {}, async (rival) =>
      report(await raceApart(bench, vm, rival), await raceBeside(bench, vm)),
    ),
  );
}

async function raceApart(bench: Bench, vm: SmolVM, rival: SmolVM): Promise<Race> {
  const plain = await splitShellWords(rival.sshCommands().ssh);
  const master = await openMaster(plain, join(bench.scratch, "master"));
  const run = (shell: "raw" | "login") => () => timed(() => vm.run("true", { shell, check: true }));
  const program = (argv: readonly string[]) => () => timeProgram(argv);
  try {
    return await bench.race(
      [
        { name: RAW, warmups: 5, sample: afterPause(run("raw")) },
        { name: LOGIN, warmups: 5, sample: afterPause(run("login")) },
        { name: MASTER, warmups: 3, sample: afterPause(program([...master.ssh, "true"])) },
        {
          name: MASTER_LOGIN,
          warmups: 2,
          everyRounds: 4,
          sample: afterPause(program([...master.ssh, "sh -lc true"])),
        },
        { name: FRESH, everyRounds: 8, sample: afterPause(program([...withOptions(plain), "true"])) },
        { name: FORK_EXEC, everyRounds: 8, sample: afterPause(() => timeForkExec(vm)) },
        { name: RAW_AGAIN, warmups: 0, everyRounds: 8, perRound: 10, sample: run("raw") },
        { name: LOGIN_AGAIN, warmups: 0, everyRounds: 8, perRound: 10, sample: run("login") },
      ],
      bench.rounds(40, 9),
    );
  } finally {
    await master.close();
  }
}

/** The same where somebody works in the machine by ssh as well. */
async function raceBeside(bench: Bench, vm: SmolVM): Promise<Race> {
  const plain = await splitShellWords(vm.sshCommands().ssh);
  const master = await openMaster(plain, join(bench.scratch, "beside"));
  const afterSsh = (shell: "raw" | "login") => async () => {
    await timeProgram([...master.ssh, "true"]);
    await sleep(PAUSE_MS);
    return timed(() => vm.run("true", { shell, check: true }));
  };
  try {
    return await bench.race(
      [
        { name: RAW_BESIDE, warmups: 5, sample: afterSsh("raw") },
        { name: LOGIN_BESIDE, warmups: 5, sample: afterSsh("login") },
      ],
      bench.rounds(20, 5),
    );
  } finally {
    await master.close();
  }
}

/** An agent thinks between two commands, and a person types: all contestants get the same pause before each sample. */
const PAUSE_MS = 100;

function afterPause(sample: () => Promise<number>): () => Promise<number> {
  return async () => {
    await sleep(PAUSE_MS);
    return sample();
  };
}

function report(race: Race, beside: Race): SectionResult {
  const rows = [...NAMES.map((name) => race.row(name)), ...NAMES_BESIDE.map((name) => beside.row(name))];
  const ratio = (over: string, under: string) => ratioOf(race.row(over), race.row(under));
  const atMost = (over: string, under: string, limit: number, issue: number) =>
    judge({
      claim: `${over} ÷ ${under}`,
      bound: "at most",
      limit,
      unit: "×",
      value: ratio(over, under),
      issue,
    });
  const here = (name: string) => {
    const { summary } = race.row(name);
    return summary ? formatQuantity(summary.median, "ms") : "";
  };
  return {
    kind: "measured",
    rows,
    targets: [
      atMost(RAW, MASTER, 1 / 3, 3),
      atMost(LOGIN, MASTER, 1 / 3, 3),
      atMost(RAW, FORK_EXEC, 3, 3),
      atMost(LOGIN, FORK_EXEC, 3, 3),
      atMost(RAW_AGAIN, MASTER, 1 / 3, 3),
      atMost(LOGIN_AGAIN, MASTER, 1 / 3, 3),
      atMost(RAW_AGAIN, FORK_EXEC, 3, 3),
      atMost(LOGIN_AGAIN, FORK_EXEC, 3, 3),
    ],
    costs: [
      ...cost("A command, raw", "`ssh` over ControlMaster", ratio(RAW, MASTER), here(RAW)),
      ...cost("", "fork + exec inside the guest", ratio(RAW, FORK_EXEC), ""),
      ...cost("A command, login shell", "`ssh` over ControlMaster", ratio(LOGIN, MASTER), here(LOGIN)),
      ...cost("", "a fresh `ssh`", ratio(LOGIN, FRESH), ""),
      ...cost("Raw, without a pause", "`ssh` over ControlMaster", ratio(RAW_AGAIN, MASTER), here(RAW_AGAIN)),
      ...cost(
        "Login shell, without a pause",
        "`ssh` over ControlMaster",
        ratio(LOGIN_AGAIN, MASTER),
        here(LOGIN_AGAIN),
      ),
    ],
    notes: [
      `In turn, each ${PAUSE_MS} ms after the one before it: time to start a shell ahead. OpenSSH is measured on a second machine of the same kind.`,
      "After a plain ssh: on one machine. What that has run may have changed what a shell reads, so each command gets a new one.",
      "Back to back: ten in a row, each called as soon as the one before it has answered; there is no time ahead then.",
    ],
  };
}
