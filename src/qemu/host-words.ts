/** What the system says where it is short of something, as C libraries put it. */
const WORDS =
  /Cannot allocate memory|Too many open files|No space left on device|Disk quota exceeded|Resource temporarily unavailable|Out of memory/i;

/** Whether QEMU was refused something that another moment may grant, so that its failure tells nothing of what it was given. */
export function hasHostsWords(output: string): boolean {
  return WORDS.test(output);
}
