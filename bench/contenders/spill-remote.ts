// The remote tier against bare TCP and bare mutual TLS, to another process; prints MB/s.
import { join } from "node:path";
import { silentLogger } from "../../src/observe/logger.ts";
import { createAuthority, issueCertificate, NODE_DNS_NAME } from "../../src/rpc/certificates.ts";
import { connectPeers } from "../../src/rpc/peers.ts";
import type { TlsMaterial } from "../../src/rpc/tls.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import { Spill } from "../../src/spill/spill.ts";

export interface HolderSettings {
  readonly bytes: number;
  readonly tls: TlsMaterial | null;
}

export interface RemoteWork {
  /** `ours` by mutual TLS, as nodes talk; `plain` without. `bare` and `bareTls` move bytes and nothing else. */
  readonly subject: "bare" | "bareTls" | "ours" | "plain";
  readonly task: "write" | "read";
  readonly recordBytes: number;
  readonly totalBytes: number;
  readonly seconds: number;
}

const work = JSON.parse(process.argv[2] ?? "") as RemoteWork;
const tls = work.subject === "ours" || work.subject === "bareTls" ? certificate() : null;
const settings: HolderSettings = { bytes: work.totalBytes * 2 + 2 ** 26, tls };
const holder = Bun.spawn(
  [process.execPath, join(import.meta.dir, "spill-holder.ts"), JSON.stringify(settings)],
  { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
);
const ports = await firstLine(holder.stdout);
try {
  console.log(await (work.subject.startsWith("bare") ? bare() : ours()));
} finally {
  holder.kill();
}
process.exit();

function certificate(): TlsMaterial {
  const day = 86_400_000;
  const validity = { notBeforeMs: Date.now() - day, notAfterMs: Date.now() + day };
  const authority = createAuthority(validity);
  const issued = issueCertificate(authority, "hedgerow://127.0.0.1:1/1", validity);
  return { ...issued, ca: [authority.cert] };
}

async function firstLine(stream: ReadableStream<Uint8Array>) {
  for await (const chunk of stream) {
    return JSON.parse(new TextDecoder().decode(chunk)) as { node: number; bare: number };
  }
  throw new Error("the holder did not start");
}

async function ours(): Promise<number> {
  const { clock } = systemRuntime();
  const peers = connectPeers({ clock, tls: () => tls });
  const spill = new Spill({
    clock,
    logger: silentLogger,
    memoryBytes: 0,
    diskBytes: 0,
    files: null,
    cluster: {
      peers,
      self: "127.0.0.1:1",
      incarnation: 1n,
      others: () => [`127.0.0.1:${ports.node}`],
    },
  });
  const record = new Uint8Array(work.recordBytes).fill(7);
  const count = Math.floor(work.totalBytes / work.recordBytes);
  const rates: number[] = [];
  const began = performance.now();
  for (let pass = 0; pass < 2 || performance.now() - began < work.seconds * 1e3; pass++) {
    // This node has no room at all, so that everything goes to the other one.
    const store = spill.store("bench", { memoryBytes: 2 ** 40, diskBytes: 0 });
    const writing = performance.now();
    {
      await using writer = store.writer();
      for (let i = 0; i < count; i++) {
        const taken = writer.append(record);
        if (taken !== undefined) await taken;
      }
    }
    const written = performance.now();
    let bytes = 0;
    for await (const { offsets, length } of store.reader().batches())
      bytes += offsets[length] as number;
    const read = performance.now();
    if (pass > 0) {
      const ms = work.task === "write" ? written - writing : read - written;
      rates.push(bytes / ms / 1e3);
    }
    await store.close();
  }
  await spill.stop();
  return rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
}

async function bare(): Promise<number> {
  const rates: number[] = [];
  const began = performance.now();
  for (let pass = 0; pass < 2 || performance.now() - began < work.seconds * 1e3; pass++) {
    const ms = await transfer(work.task === "read", work.totalBytes);
    if (pass > 0) rates.push(work.totalBytes / ms / 1e3);
  }
  return rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
}

/** Milliseconds until the bytes have come, or have been acknowledged. */
async function transfer(receives: boolean, bytes: number): Promise<number> {
  const done = Promise.withResolvers<void>();
  const block = new Uint8Array(256 * 1024).fill(7);
  const head = Buffer.alloc(9);
  head[0] = receives ? 1 : 0;
  head.writeDoubleBE(bytes, 1);
  let left = bytes;
  const send = (socket: Bun.Socket) => {
    while (!receives && left > 0) {
      const written = socket.write(block.subarray(0, Math.min(block.length, left)));
      if (written <= 0) return;
      left -= written;
    }
  };
  const begin = (socket: Bun.Socket) => {
    socket.write(head);
    send(socket);
  };
  const began = performance.now();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: ports.bare,
    ...(tls !== null && {
      tls: { key: tls.key, cert: tls.cert, ca: [...tls.ca], serverName: NODE_DNS_NAME },
    }),
    socket: {
      open(opened) {
        if (tls === null) begin(opened);
      },
      handshake: begin,
      data(_, chunk) {
        if (receives) left -= chunk.length;
        if (!receives || left === 0) done.resolve();
      },
      drain: send,
      error: (_, error) => done.reject(error),
    },
  });
  await done.promise;
  socket.end();
  return performance.now() - began;
}
