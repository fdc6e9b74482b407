/** Calls it at once. What it throws is a rejection like what it rejects with. */
export async function settle(call: () => unknown): Promise<void> {
  await call();
}
