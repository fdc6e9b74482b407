interface Watch {
  readonly waiting: Set<() => void>;
  readonly stop: () => void;
}

const watches = new WeakMap<AbortSignal, Watch>();

/**
 * Calls `onAbort` when the signal is aborted, until the returned function is called. However many share a signal, it has one
 * listener: Node prints a warning where there are more than ten, and a caller may end a hundred commands by one signal.
 */
export function watchAbort(signal: AbortSignal, onAbort: () => void): () => void {
  const watch = watches.get(signal) ?? startWatch(signal);
  const mine = () => onAbort(); // the same function may be given twice
  watch.waiting.add(mine);
  return () => {
    watch.waiting.delete(mine);
    if (watch.waiting.size === 0) watch.stop();
  };
}

function startWatch(signal: AbortSignal): Watch {
  const waiting = new Set<() => void>();
  const stop = () => {
    signal.removeEventListener("abort", tellAll);
    if (watches.get(signal)?.waiting === waiting) watches.delete(signal);
  };
  const tellAll = () => {
    stop();
    for (const tell of waiting) tell();
  };
  signal.addEventListener("abort", tellAll);
  const watch = { waiting, stop };
  watches.set(signal, watch);
  return watch;
}
