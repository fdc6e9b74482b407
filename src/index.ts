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
export type { AttachOptions } from "./sandbox/attach.ts";
export { SSH_BOOT_ARGS } from "./sandbox/boot-args.ts";
export type { BootMessage, CommandMessage, StatusMessage } from "./sandbox/diagnostics.ts";
export { type DoctorCheck, type DoctorReport, doctor } from "./sandbox/doctor.ts";
export type { SetEnvVarsOptions } from "./sandbox/environment.ts";
export type { ListFilter } from "./sandbox/find.ts";
export type { ForkOptions } from "./sandbox/fork.ts";
export type { BuildImageOptions } from "./sandbox/get-image.ts";
export { buildImage, deleteImage, type ImageInfo, inspectImage, listImages } from "./sandbox/images.ts";
export type { VMInfo } from "./sandbox/info.ts";
export type { LogsOptions } from "./sandbox/logs.ts";
export type { BootReport } from "./sandbox/machine.ts";
export type {
  CopyCallOptions,
  HostLimits,
  Logger,
  SmolVMOptions,
  StartOptions,
  StopOptions,
  VMConfig,
  VMStatus,
} from "./sandbox/options.ts";
export type { OutputChunk } from "./sandbox/output-queue.ts";
export { type AcquireOptions, SmolVMPool, type SmolVMPoolOptions } from "./sandbox/pool.ts";
export { type PrunedItem, type PruneOptions, type PruneReport, prune } from "./sandbox/prune.ts";
export type { WaitForSshOptions } from "./sandbox/reach.ts";
export type { Run } from "./sandbox/run.ts";
export type { OutputListener, RunOptions } from "./sandbox/run-options.ts";
export type { Shell, ShellOptions } from "./sandbox/shell.ts";
export type { SnapshotInfo } from "./sandbox/snapshot-info.ts";
export type { RestoreOptions } from "./sandbox/snapshots.ts";
export { sshConfigInclude } from "./sandbox/ssh-config.ts";
export type { StatusChange } from "./sandbox/status.ts";
export type { StatusChangesOptions } from "./sandbox/status-changes.ts";
export { SmolVM } from "./sandbox/vm.ts";
export type { SshCommands } from "./ssh/openssh/command-lines.ts";
export type { TerminalSize } from "./ssh/spec/terminal.ts";
export type { Duration } from "./util/duration.ts";
