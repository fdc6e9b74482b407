// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is shell code

/** What a profile may do, and still a script is to run as in a fresh shell of that user. */
export interface Horror {
  readonly name: string;
  readonly profile: string;
  /** The script can be one that uses builtins. */
  readonly sparesBuiltins?: boolean;
}

/** Of every shell of the Bourne kind. */
export const PLAIN_HORRORS: readonly Horror[] = [
  { name: "takes descriptor 9, as for flock", profile: "exec 9>/tmp/lock", sparesBuiltins: true },
  {
    name: "takes every descriptor",
    profile: "exec 3>/tmp/l 4>&3 5>&3 6>&3 7>&3 8>&3 9>&3",
    sparesBuiltins: true,
  },
  { name: "sets -eu and noclobber", profile: "set -euC", sparesBuiltins: true },
  { name: "has an IFS and no PATH", profile: "IFS=/:aeiou; PATH=", sparesBuiltins: true },
  {
    name: "prints on both streams",
    profile: "echo hello from profile; echo and here >&2",
    sparesBuiltins: true,
  },
  { name: "takes signals", profile: "trap 'echo bye' EXIT; trap '' HUP", sparesBuiltins: true },
  { name: "writes elsewhere", profile: "exec 2>/tmp/err", sparesBuiltins: true },
  { name: "goes elsewhere", profile: "cd /usr/share", sparesBuiltins: true },
  { name: "makes where it is readonly", profile: "readonly PWD OLDPWD", sparesBuiltins: true },
  {
    name: "has our names, some readonly",
    profile: "__smolvm_g=1; __smolvm_l=2; readonly __smolvm_u=3; __smolvm=; readonly A_=1; token=t",
    sparesBuiltins: true,
  },
  { name: "exports all that is set later", profile: "set -a", sparesBuiltins: true },
  { name: "is verbose", profile: "set -x", sparesBuiltins: true },
  {
    name: "aliases commands",
    profile: "alias cd='/bin/echo a' read='/bin/echo b' printf='/bin/echo c' test='/bin/echo d'",
  },
];

/** What `compgen -b` of bash 5.2 tells. */
const BUILTINS =
  ". : [ alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs disown echo enable eval exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd printf pushd pwd read readarray readonly return set shift shopt source suspend test times trap true type typeset ulimit umask unalias unset wait".split(
    " ",
  );
const KEYWORDS = ["if", "while", "for", "case", "[[", "!", "time", "function", "until", "select"];
const functions = (body: string) => BUILTINS.map((name) => `${name}() { ${body}; }`).join("\n");

/** Of bash alone. */
export const BASH_HORRORS: readonly Horror[] = [
  { name: "redefines every builtin", profile: functions("/bin/echo horror") },
  { name: "redefines every builtin to fail", profile: functions("/bin/echo horror >&2; /bin/false") },
  {
    name: "aliases every builtin and keyword",
    profile: `shopt -s expand_aliases\nalias ${[...BUILTINS, ...KEYWORDS].map((word) => `'${word}=/bin/echo horror'`).join(" ")}`,
  },
  { name: "wraps builtin", profile: 'builtin() { /bin/echo wrapped; command builtin "$@"; }' },
  { name: "has traps that print", profile: "trap '/bin/echo err >&2' ERR; trap '/bin/echo debug' DEBUG" },
  { name: "makes LINENO readonly", profile: "readonly LINENO" },
  { name: "makes the script readonly", profile: "readonly BASH_EXECUTION_STRING" },
  { name: "makes variables readonly", profile: "readonly TMOUT=900 IFS PS4", sparesBuiltins: true },
  { name: "disables builtins", profile: "enable -n read printf test" },
];
