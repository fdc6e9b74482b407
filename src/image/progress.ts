/** What an image build does now. `done` of `total` are bytes in the phase "download", packages elsewhere. */
export interface Progress {
  readonly phase: ProgressPhase;
  /** One line for a person: "Downloading packages". */
  readonly message: string;
  readonly done?: number;
  readonly total?: number;
}

export type ProgressPhase = "wait" | "index" | "download" | "unpack" | "kernel" | "build" | "publish";

export type OnProgress = (progress: Progress) => void;
