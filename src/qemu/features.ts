import * as v from "valibot";
import type { QmpClient } from "./qmp/client.ts";

/** The name of the ability to save a state without the memory that others share. */
export const LEAVES_MEMORY_OUT = "x-ignore-shared";

/** What this QEMU can do that another may not. */
export interface QemuFeatures {
  /** For example "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)". */
  readonly version: string;
  /** Accelerators that were compiled in, which says nothing about whether they work. */
  readonly accelerators: readonly string[];
  /** Built with seccomp. */
  readonly sandbox: boolean;
  /** QEMU dies with its parent, even when that is killed. */
  readonly exitWithParent: boolean;
  /** The device that tells a clone's kernel that it is one. */
  readonly vmgenid: boolean;
  /** Saves a machine without the memory that lies in a file, and starts many from that file. */
  readonly cloning: boolean;
}

export const QemuFeaturesSchema = v.object({
  version: v.string(),
  accelerators: v.pipe(v.array(v.string()), v.readonly()),
  sandbox: v.boolean(),
  exitWithParent: v.boolean(),
  vmgenid: v.boolean(),
  cloning: v.boolean(),
});

const OptionsSchema = v.array(
  v.object({ option: v.string(), parameters: v.array(v.object({ name: v.string() })) }),
);
const CapabilitiesSchema = v.array(v.object({ capability: v.string() }));
const TypesSchema = v.array(v.object({ name: v.string() }));

/** Asks a running QEMU, whatever its machine. */
export async function queryFeatures(qmp: QmpClient): Promise<QemuFeatures> {
  const [options, accelerators, devices, memory, migration] = await Promise.all([
    qmp.execute("query-command-line-options"),
    qmp.execute("qom-list-types", { implements: "accel" }),
    qmp.execute("qom-list-types", { implements: "vmgenid" }),
    qmp.execute("qom-list-types", { implements: "memory-backend-file" }),
    qmp.execute("query-migrate-capabilities"),
  ]);
  const parameters = (name: string) => parametersOf(v.parse(OptionsSchema, options), name);
  return {
    version: qmp.version,
    accelerators: v.parse(TypesSchema, accelerators).flatMap(acceleratorName).sort(),
    sandbox: parameters("sandbox").length > 0,
    exitWithParent: parameters("run-with").includes("exit-with-parent"),
    vmgenid: v.parse(TypesSchema, devices).length > 0,
    cloning:
      v.parse(TypesSchema, memory).length > 0 &&
      v.parse(CapabilitiesSchema, migration).some(({ capability }) => capability === LEAVES_MEMORY_OUT),
  };
}

function parametersOf(options: v.InferOutput<typeof OptionsSchema>, name: string): string[] {
  return options
    .filter(({ option }) => option === name)
    .flatMap(({ parameters }) => parameters.map((p) => p.name));
}

/** "kvm-accel" is the type behind `-accel kvm`; "accel" itself is none. */
function acceleratorName({ name }: { name: string }): string[] {
  return name.endsWith("-accel") ? [name.slice(0, -"-accel".length)] : [];
}
