const KEPT = /^(PATH|HOME|USER|LOGNAME|TMPDIR|LANG|LC_.*|TZ|LD_LIBRARY_PATH|DYLD_.*|QEMU_.*)$/;

/** The environment may hold keys; what is started in the background has no use for them. `also` says which others to keep. */
export function neededVariables(env: NodeJS.ProcessEnv, also = /^$/): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => KEPT.test(name) || also.test(name)));
}
