/** Resolves once `condition` holds; throws after `timeoutMs`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 5_000,
): Promise<void> {
  const giveUpAt = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > giveUpAt) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await Bun.sleep(2);
  }
}

/** Resolves once `count` has not changed for a while: what was under way has come to rest. */
export async function untilStill(count: () => number, quietMs = 150): Promise<number> {
  let last = count();
  let since = Date.now();
  await until("comes to rest", async () => {
    await Bun.sleep(5);
    if (count() !== last) {
      last = count();
      since = Date.now();
    }
    return Date.now() - since >= quietMs;
  });
  return last;
}

/** The error that `call` fails with. */
export async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: unknown) => error,
  );
}
