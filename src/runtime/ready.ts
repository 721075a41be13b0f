// Waiting for a promise that is fulfilled already takes a turn of the microtask queue, and objects that live until then.
// Where messages come faster than they are read, that is most of what a message costs.

/** What a promise is fulfilled with already; null while it is not, and if it never will. */
export function readyValue<T extends object>(promise: Promise<T>): T | null {
  return Bun.peek.status(promise) === "fulfilled" ? (Bun.peek(promise) as T) : null;
}

/** `promise.then(read, fail)`, which reads what is there already at once. */
export function thenNow<T extends object, R>(
  promise: Promise<T>,
  read: (value: T) => R,
  fail?: (error: unknown) => never,
): Promise<R> {
  const value = readyValue(promise);
  if (value === null) return promise.then(read, fail);
  try {
    return Promise.resolve(read(value));
  } catch (error) {
    return Promise.reject(error as Error);
  }
}
