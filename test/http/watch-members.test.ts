import { expect, test } from "bun:test";
import type { WatchMembersResponse } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import type { MemberInfo, MembersObserver, ObserveOptions } from "../../src/node/api.ts";
import { watchMembers } from "../../src/http/watch-members.ts";
import { fakeNode } from "./fake-node.ts";

function memberAt(address: string): MemberInfo {
  return { name: address, address, incarnation: 1, state: "participant", suspect: false };
}

function watching(request: { participantsOnly?: boolean } = {}) {
  let tell: MembersObserver = () => {};
  let observed: ObserveOptions | undefined;
  let ended = false;
  const node = fakeNode({
    observe(observer, options) {
      tell = observer;
      observed = options;
      return () => {
        ended = true;
      };
    },
  });
  const gone = new AbortController();
  const stream = watchMembers(
    node,
    { participantsOnly: false, ...request } as never,
    { signal: gone.signal } as never,
  ) as AsyncGenerator<WatchMembersResponse>;
  return {
    gone,
    stream,
    change: (...addresses: string[]) => tell(addresses.map(memberAt)),
    observed: () => observed,
    ended: () => ended,
    async next() {
      const { done, value } = await stream.next();
      return done ? null : value.members.map(({ address }) => address);
    },
  };
}

test("the whole list first, then again at each change", async () => {
  const watch = watching();
  expect(await watch.next()).toEqual(["10.0.0.1:8080", "10.0.0.2:8080"]);
  const second = watch.next();
  watch.change("10.0.0.1:8080");
  expect(await second).toEqual(["10.0.0.1:8080"]);
  expect(watch.observed()).toEqual({ participantsOnly: false });
});

test("a slow reader gets the latest list, not those between", async () => {
  const watch = watching({ participantsOnly: true });
  await watch.next();
  watch.change("a:1");
  watch.change("a:1", "b:1");
  watch.change("c:1");
  expect(await watch.next()).toEqual(["c:1"]);
  expect(watch.observed()).toEqual({ participantsOnly: true });
});

test("a reader that goes away ends the watch, which says nothing more", async () => {
  const watch = watching();
  await watch.next();
  const waiting = watch.next();
  watch.gone.abort();
  expect(await waiting).toBeNull();
  expect(watch.ended()).toBe(true);
});

test("leaving the stream ends the watch", async () => {
  const watch = watching();
  await watch.next();
  await watch.stream.return(undefined);
  expect(watch.ended()).toBe(true);
});
