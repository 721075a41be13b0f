import { expect, test } from "bun:test";
import { type Branch, FanOut } from "../../src/messaging/fan-out.ts";
import { ManualClock } from "../rpc/kit/clock.ts";

type Message = Uint8Array | string;

/** Messages out of one buffer, which is another message as soon as the next one is asked for. */
function* reusing(lengths: readonly number[], make: (length: number) => Uint8Array) {
  const buffer = make(Math.max(...lengths));
  for (const [i, length] of lengths.entries()) {
    buffer.fill(i + 1, 0, length);
    yield buffer.subarray(0, length);
    buffer.fill(0xee);
  }
}

function fanOut(input: Iterable<Message>, branches: number) {
  const clock = new ManualClock();
  return new FanOut({ clock, input, branches, stallMs: 1_000, onStalled() {} }).branches;
}

/** How many messages of the branch are as they were given, looked at only when `late` has come. */
async function check(branch: Branch, late: Promise<unknown> | null): Promise<number> {
  const all: Message[] = [];
  for await (const message of branch) {
    if (late === null) expect([...new Set<unknown>(message)]).toEqual([all.length + 1]);
    all.push(message);
  }
  await late;
  for (const [i, message] of all.entries()) expect([...new Set<unknown>(message)]).toEqual([i + 1]);
  return all.length;
}

test("a source may use its buffer again, though one branch is ahead of others or sends from where it is", async () => {
  const lengths = [10, 300_000, 1, 200_000, 50];
  for (const make of [(length: number) => new Uint8Array(length), Buffer.alloc]) {
    const [fast, slow] = fanOut(reusing(lengths, make), 2) as [Branch, Branch];
    const first = check(fast, null);
    const second = check(slow, first);
    expect(await first).toBe(lengths.length);
    expect(await second).toBe(lengths.length);
  }
});

test("text is given as it is, to each branch in its order", async () => {
  const texts = ["one", "", "three"];
  const branches = fanOut(texts, 3);
  for (const all of await Promise.all(branches.map((branch) => Array.fromAsync(branch)))) {
    expect(all).toEqual(texts);
  }
});
