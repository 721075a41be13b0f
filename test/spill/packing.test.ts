import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import type { SpillStore } from "../../src/spill/api.ts";
import { checksumOf } from "../../src/spill/checksum.ts";
import type { Elsewhere } from "../../src/spill/elsewhere.ts";
import { PackedElsewhere } from "../../src/spill/remote/packed-elsewhere.ts";
import { pack, type Packed, unpack } from "../../src/spill/remote/packing.ts";
import type { Layout, Sealed } from "../../src/spill/sealed.ts";
import { Keeper, spillBeside } from "./keeper.ts";
import { checkAll, Folder, pour, record } from "./kit.ts";
import { type SpillNode, spillNodes } from "./nodes.ts";

const MB = 1 << 20;
const never = new AbortController().signal;

/** Pieces as a segment has them: some of a few bytes, one large. */
function sealedOf(...pieces: Uint8Array[]): Sealed {
  const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
  return { pieces, layout: { bytes } as Layout };
}

function random(bytes: number): Uint8Array {
  const made = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(made.subarray(at, at + 65_536));
  return made;
}

const text = (bytes: number) =>
  Buffer.from("spill-over store, ".repeat(bytes / 18 + 1)).subarray(0, bytes);

async function packed(sealed: Sealed): Promise<{ bytes: Uint8Array; packed: Packed }> {
  const smaller = await pack(sealed, never);
  if (smaller === null) throw new Error("it was not packed");
  const bytes = Buffer.concat(smaller.pieces);
  expect(smaller.packed.bytes).toBe(bytes.length);
  return { bytes, packed: smaller.packed };
}

test("what is packed comes out as it went in, whatever the lengths", async () => {
  for (const length of [1, 17, 4_096, MB - 20, MB - 19, MB, 2 * MB + 1, 9 * MB]) {
    const sealed = sealedOf(text(10), new Uint8Array(300), text(length), new Uint8Array(9));
    const { bytes, packed: how } = await packed(sealed);
    expect(bytes.length).toBeLessThan(sealed.layout.bytes * 0.9);
    const into = random(sealed.layout.bytes);
    await unpack(bytes, how, into);
    expect(Buffer.compare(into, Buffer.concat(sealed.pieces))).toBe(0);
  }
});

test("what would save less than a tenth stays as it is", async () => {
  expect(await pack(sealedOf(random(100)), never)).toBeNull();
  expect(await pack(sealedOf(random(3 * MB)), never)).toBeNull();
  expect(await pack(sealedOf(random(92_000), text(8_000)), never)).toBeNull();
  expect(await pack(sealedOf(random(80_000), text(20_000)), never)).not.toBeNull();
});

test("P8: packed bytes that are not those that were sent are data_lost, wherever they differ, and never unpacked", async () => {
  const sealed = sealedOf(text(MB + 5_000), random(20_000));
  const { bytes, packed: how } = await packed(sealed);
  const into = new Uint8Array(sealed.layout.bytes);
  for (let at = 0; at < bytes.length; at++) {
    const damaged = new Uint8Array(bytes);
    damaged[at] = (damaged[at] as number) ^ (1 << (at % 8));
    const error = await unpack(damaged, how, into).catch((thrown: unknown) => thrown);
    if (!HedgerowError.is(error, "data_lost")) throw new Error(`a bit at ${at} was not noticed`);
  }
  for (const cut of [bytes.subarray(1), bytes.subarray(0, -1), bytes.subarray(0, 0)]) {
    const error = await unpack(cut, how, into).catch((thrown: unknown) => thrown);
    expect(HedgerowError.is(error, "data_lost")).toBe(true);
  }
  expect(into.every((byte) => byte === 0)).toBe(true);
});

test("frames of another length than the segment's, or that are none, are data_lost, not a crash", async () => {
  const { bytes, packed: how } = await packed(sealedOf(text(2 * MB + 100)));
  for (const length of [2 * MB + 99, 2 * MB + 101, MB + 7, 0]) {
    const error = await unpack(bytes, how, new Uint8Array(length)).catch((thrown) => thrown);
    expect(HedgerowError.is(error, "data_lost")).toBe(true);
  }
  const none = text(1_000);
  const told = { bytes: 1_000, frames: [1_000], checksums: [checksumOf(none)] };
  const error = await unpack(none, told, new Uint8Array(1_000)).catch((thrown) => thrown);
  expect(HedgerowError.is(error, "data_lost")).toBe(true);
});

test("packing ends when nobody wants it any more", async () => {
  const reason = new HedgerowError("not_found", "closed");
  const error = await pack(sealedOf(text(MB)), AbortSignal.abort(reason)).catch((thrown) => thrown);
  expect(error).toBe(reason);
});

test("what was packed is freed once it is kept, but not while a node to which it was sent in vain may be sent the rest", async () => {
  for (const failures of [0, 1]) {
    let sent: readonly Uint8Array[] = [];
    const inner: Elsewhere = {
      async put({ pieces, layout }, _signal, onFailed) {
        sent = pieces;
        for (let i = 0; i < failures; i++) onFailed?.();
        return { tier: "remoteMemory", holder: "127.0.0.1:1", id: 1, layout };
      },
      async fetch() {},
      free() {},
    };
    const { packed: how } = await new PackedElsewhere(inner).put(sealedOf(text(3 * MB)), never);
    expect(sent.map(({ length }) => length)).toEqual(
      how?.frames.map((length) => (failures === 0 ? 0 : length)) ?? [],
    );
  }
});

const remoteOf = (store: SpillStore) => {
  const { remoteMemory, remoteDisk } = store.stats().tiers;
  return {
    records: remoteMemory.records + remoteDisk.records,
    bytes: remoteMemory.bytes + remoteDisk.bytes,
    segments: remoteMemory.segments + remoteDisk.segments,
  };
};
const used = ({ spill }: SpillNode) => spill.memory.used + spill.disk.used;

test("what is sent to other nodes takes there what it has when packed, and comes back in order, twice, by index and as files", async () => {
  using folder = new Folder();
  const room = { memoryBytes: 4 * MB, diskBytes: 2 * MB };
  await using cluster = await spillNodes(2, { ...room, folder: folder.path, compression: "zstd" });
  const [owner, holder] = cluster.nodes as [SpillNode, SpillNode];
  const store = owner.spill.store("a");
  await pour(store, 0, 30_000, 1_000); // more than both nodes have room for
  const remote = remoteOf(store);
  expect(remote.bytes).toBeGreaterThan(20 * MB);
  expect(used(holder)).toBeGreaterThan(0);
  expect(used(holder)).toBeLessThan(remote.bytes / 10);
  for (let pass = 0; pass < 2; pass++) expect(await checkAll(store, 1_000)).toBe(30_000);
  for (const index of [6_000, 20_000, 29_999]) {
    expect(await store.at(index)).toEqual(record(index, 1_000));
  }
  let files = 0;
  for await (const file of store.arrowFiles()) {
    expect(Buffer.from(file.subarray(0, 6)).toString()).toBe("ARROW1");
    files++;
  }
  expect(files).toBeGreaterThanOrEqual(remote.segments);
  await store.close();
  expect(used(owner)).toBe(0);
});

test("records that do not pack are sent as they are", async () => {
  using folder = new Folder();
  const room = { memoryBytes: 4 * MB, diskBytes: 2 * MB };
  await using cluster = await spillNodes(2, { ...room, folder: folder.path, compression: "zstd" });
  const [owner, holder] = cluster.nodes as [SpillNode, SpillNode];
  const store = owner.spill.store("a");
  const records = Array.from({ length: 9_000 }, () => random(1_000));
  await using writer = store.writer();
  await writer.appendAll(records);
  const remote = remoteOf(store);
  expect(remote.bytes).toBeGreaterThan(2 * MB);
  expect(used(holder)).toBeGreaterThan(remote.bytes);
  let i = 0;
  for await (const got of store.reader()) {
    if (Buffer.compare(got, records[i++] as Uint8Array) !== 0) throw new Error(`${i} is another`);
  }
  expect(i).toBe(9_000);
});

test("P8: a bit turned around in a packed segment on another node: readers are told the range, and read on behind it", async () => {
  const keeper = new Keeper();
  const { spill } = spillBeside(keeper, { compression: "zstd" });
  const store = spill.store("a", { memoryBytes: 64 << 10, diskBytes: 1 << 20 });
  await pour(store, 0, 6_000);
  expect(keeper.kept.size).toBeGreaterThan(3);
  const [[, bytes = new Uint8Array(0)] = []] = keeper.kept;
  expect(bytes.length).toBeLessThan(30_000); // it is packed
  const ranges = new Set<string>();
  for (let at = 0; at < bytes.length; at += 64) {
    bytes[at] = (bytes[at] as number) ^ 0x10;
    const error = await checkAll(store).catch((thrown: unknown) => thrown);
    bytes[at] = (bytes[at] as number) ^ 0x10;
    if (!HedgerowError.is(error, "data_lost")) throw new Error(`a bit at ${at} was not noticed`);
    const { from = 0, to = 0 } = error.lost ?? {};
    ranges.add(`${from} to ${to}`);
    expect(await checkAll(store, 100, to)).toBe(6_000 - to);
  }
  expect([...ranges].length).toBe(1);
  expect(await checkAll(store)).toBe(6_000);
});
