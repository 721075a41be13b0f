/** Resolves once `condition` holds; throws after `timeoutMs`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const giveUpAt = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > giveUpAt) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await Bun.sleep(2);
  }
}

/** Looks in a row that find no change. */
const STILL_LOOKS = 20;

/** Resolves once `count` has not changed for a while: what was under way has come to rest. */
export async function untilStill(count: () => number, quietMs = 150): Promise<number> {
  let last = count();
  let since = Date.now();
  let looks = 0;
  await until("comes to rest", async () => {
    await Bun.sleep(5);
    looks++;
    if (count() !== last) {
      last = count();
      since = Date.now();
      looks = 0;
    }
    // Time alone passes also where the machine stalls, and all that is under way with it.
    return looks >= STILL_LOOKS && Date.now() - since >= quietMs;
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

/** Calls that are looked at one after the other: a rejection that nobody awaits yet would fail whatever test is running. */
export function lookedAtLater<T extends readonly Promise<unknown>[]>(calls: T): T {
  for (const call of calls) call.catch(() => {});
  return calls;
}
