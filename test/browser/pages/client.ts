// A page's script with the client that the package exports.
import { createClient, HedgerowError } from "../../../src/client/index.ts";

async function run(addresses: string[]) {
  const client = createClient({ addresses, timeoutMs: 5_000 });
  const key = "page, hedgerow/client";
  const { id } = await client.put({ key, value: "v" });
  const { entries } = await client.get({ key });
  const replies: string[] = [];
  for await (const { node } of client.broadcast({ data: new TextEncoder().encode("hi") })) {
    replies.push(node);
  }
  let members = 0;
  for await (const list of client.watchMembers({})) {
    members = list.members.length;
    break;
  }
  const conflict = await client.put({ key, value: "w", ifVersion: "other" }).catch((e) => e);
  const name = "lock of a page";
  for await (const _ of client.holdLock({ name })) break;
  let heldAgain = false;
  for await (const { token } of client.holdLock({ name, wait: { seconds: 10n } })) {
    heldAgain = token !== "";
    break;
  }
  return {
    same: entries[0]?.id === id,
    replies: replies.sort(),
    members,
    conflict: conflict instanceof HedgerowError && [conflict.code, conflict.current === id],
    heldAgain,
  };
}

Object.assign(globalThis, { run });
