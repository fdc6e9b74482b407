const KEPT = /^(PATH|HOME|USER|LOGNAME|TMPDIR|LANG|LC_.*|TZ|LD_LIBRARY_PATH|DYLD_.*|QEMU_.*)$/;

/** By which way, and trusting which certificates, this host reaches the internet. Programs read either case of the proxies. */
const NETWORK =
  /^(NODE_EXTRA_CA_CERTS|NODE_USE_ENV_PROXY|NODE_USE_SYSTEM_CA|SSL_CERT_(FILE|DIR)|(HTTPS?|ALL|NO)_PROXY|(https?|all|no)_proxy)$/;

/** For a program of ours in the background that may download. Names that begin with `prefix` are kept too. */
export function backgroundVariables(env: NodeJS.ProcessEnv, prefix: string): NodeJS.ProcessEnv {
  const isKept = (name: string) => KEPT.test(name) || NETWORK.test(name) || name.startsWith(prefix);
  return Object.fromEntries(Object.entries(env).filter(([name]) => isKept(name)));
}

/** The environment may hold keys; what is started in the background has no use for them. */
export function neededVariables(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => KEPT.test(name)));
}
