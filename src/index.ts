export type { CommandResult } from "./errors.ts";
export {
  BootError,
  CommandExecutionUnavailableError,
  CommandFailedError,
  CommandOutcomeUnknownError,
  FileTransferError,
  HostError,
  ImageError,
  NetworkError,
  OperationAbortedError,
  OperationTimeoutError,
  PortInUseError,
  SmolVMError,
  SnapshotAlreadyExistsError,
  SnapshotNotFoundError,
  ValidationError,
  VMAlreadyExistsError,
  VMNotFoundError,
  VMStateError,
} from "./exceptions.ts";
export type { OnProgress, Progress, ProgressPhase } from "./image/progress.ts";
export type { BuildImageOptions } from "./sandbox/boot/get-image.ts";
export type { AttachOptions } from "./sandbox/command/attach.ts";
export type { SetEnvVarsOptions } from "./sandbox/command/environment.ts";
export type { OutputChunk } from "./sandbox/command/output-queue.ts";
export type { WaitForSshOptions } from "./sandbox/command/reach.ts";
export type { Run } from "./sandbox/command/run.ts";
export type { OutputListener, RunOptions } from "./sandbox/command/run-options.ts";
export type { Shell, ShellOptions } from "./sandbox/command/shell.ts";
export { sshConfigInclude } from "./sandbox/command/ssh-config.ts";
export type { ListFilter } from "./sandbox/find.ts";
export { SSH_BOOT_ARGS } from "./sandbox/machine/boot-args.ts";
export type { BootMessage, CommandMessage, StatusMessage } from "./sandbox/machine/diagnostics.ts";
export type { VMInfo } from "./sandbox/machine/info.ts";
export type { BootReport } from "./sandbox/machine/machine.ts";
export type {
  CopyCallOptions,
  HostLimits,
  Logger,
  SmolVMOptions,
  StartOptions,
  StopOptions,
  VMConfig,
  VMStatus,
} from "./sandbox/machine/options.ts";
export type { SnapshotInfo } from "./sandbox/machine/snapshot-info.ts";
export type { StatusChange } from "./sandbox/machine/status.ts";
export { type AcquireOptions, SmolVMPool, type SmolVMPoolOptions } from "./sandbox/pool.ts";
export type { ForkOptions } from "./sandbox/snapshot/fork.ts";
export type { RestoreOptions } from "./sandbox/snapshot/snapshots.ts";
export { type DoctorCheck, type DoctorReport, doctor } from "./sandbox/upkeep/doctor.ts";
export {
  buildImage,
  deleteImage,
  type ImageInfo,
  inspectImage,
  listImages,
} from "./sandbox/upkeep/images.ts";
export { type PrunedItem, type PruneOptions, type PruneReport, prune } from "./sandbox/upkeep/prune.ts";
export { SmolVM } from "./sandbox/vm.ts";
export type { LogsOptions } from "./sandbox/watch/logs.ts";
export type { StatusChangesOptions } from "./sandbox/watch/status-changes.ts";
export type { SshCommands } from "./ssh/openssh/command-lines.ts";
export type { TerminalSize } from "./ssh/spec/terminal.ts";
export type { Duration } from "./util/duration.ts";
