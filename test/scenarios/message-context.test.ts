import { afterEach, expect, test } from "bun:test";
import type { MessageContext } from "../../src/node/api.ts";
import { Story } from "./world.ts";

let story: Story;
afterEach(() => expect(story.violations).toEqual([]));

type Told = Omit<MessageContext, "signal">;

/** A cluster whose handlers write down what they are told. */
function listening(): { sends: Told[]; broadcasts: Told[] } {
  const told = { sends: [] as Told[], broadcasts: [] as Told[] };
  const listen =
    (into: Told[]) =>
    (data: Uint8Array, { signal: _, ...context }: MessageContext) => {
      into.push(context);
      return data;
    };
  story = new Story({
    configure: () => ({ onSend: listen(told.sends), onBroadcast: listen(told.broadcasts) }),
  });
  return told;
}

test("a handler is told of the message's id, its sender, and how long that waits", () => {
  const { sends } = listening();
  const leader = story.settledLeader();
  const caller = story.follower();
  for (const node of [caller, leader, caller]) {
    story.outcome(node.core.messaging.send("hello", { timeoutMs: 700 }));
  }
  expect(sends.map(({ from }) => from)).toEqual([caller.address, leader.address, caller.address]);
  expect(new Set(sends.map(({ id }) => id)).size).toBe(3);
  for (const { id, attempt, timeoutMs } of sends) {
    expect(id).not.toBe("");
    expect(attempt).toBe(1);
    expect(timeoutMs).toBeGreaterThan(600);
    expect(timeoutMs).toBeLessThanOrEqual(700);
  }
});

test("a broadcast has one id at all members", () => {
  const { broadcasts } = listening();
  story.settledLeader();
  const { core, address } = story.follower();
  story.outcome(Array.fromAsync(core.messaging.broadcast("hello")));
  expect(broadcasts.length).toBe(3);
  expect(new Set(broadcasts.map(({ id, from }) => `${id} ${from}`)).size).toBe(1);
  expect(broadcasts[0]?.from).toBe(address);
});

test("a message whose reply was lost comes again under its id, as a later attempt", () => {
  const { sends } = listening();
  const leader = story.settledLeader();
  const caller = story.follower();
  story.cluster.network.cut(leader.address, caller.address);
  const sent = caller.core.messaging.sendToLeader("hello", { timeoutMs: 20_000 });
  story.until("the leader has it", 1_000, () => sends.length === 1);
  story.cluster.crash(leader);
  expect(story.outcome(sent).error).toBeNull();
  expect(sends.length).toBe(2);
  expect(sends[1]?.id).toBe(sends[0]?.id as string);
  expect(sends[1]?.attempt).toBeGreaterThan(1);
});
