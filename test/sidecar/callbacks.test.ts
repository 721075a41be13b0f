import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type CallbacksOptions,
  openCallbacks,
  RELOAD_KEYS_MS,
} from "../../src/sidecar/callbacks.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { RecordingLogger } from "../rpc/kit/nodes.ts";
import { until } from "../rpc/kit/wait.ts";
import { atEnd, bytes, context, runtime, service } from "./kit.ts";

const KEY = "k".repeat(32);

let folder = "";
let keyFile = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hedgerow-keys-"));
  keyFile = join(folder, "keys");
});
afterEach(() => rm(folder, { recursive: true }));

async function write(text: string, mode = 0o600): Promise<void> {
  await writeFile(keyFile, text);
  await chmod(keyFile, mode);
}

async function open(replaced: Partial<CallbacksOptions>) {
  const logger = new RecordingLogger();
  const callbacks = await openCallbacks({
    onSend: null,
    onBroadcast: null,
    keyFile: null,
    about: async () => ({ label: "l", node: "10.0.0.1:8080", token: "" }),
    runtime,
    logger,
    ...replaced,
  });
  atEnd(() => callbacks.close());
  return { ...callbacks, logger };
}

test("each kind goes to its own URL, and there are handlers for those alone", async () => {
  const echo = (request: Request) => new Response(request.headers.get("hedgerow-kind"));
  const [onSend, onBroadcast] = [service(echo), service(echo)];
  const both = await open({ onSend, onBroadcast });
  const said = async (handler: unknown) => {
    const handle = handler as (data: Uint8Array, given: unknown) => Promise<Uint8Array>;
    return new TextDecoder().decode(await handle(bytes("x"), context()));
  };
  expect(await said(both.handlers.onSend)).toBe("send");
  expect(await said(both.handlers.onBroadcast)).toBe("broadcast");
  expect(Object.keys((await open({ onBroadcast })).handlers)).toEqual(["onBroadcast"]);
  // On loopback nobody is warned for want of a key.
  expect(both.logger.lines).toEqual([]);
});

test("a key that is added signs, too, from the next look on; a file that breaks changes nothing", async () => {
  await write(`${KEY}1\n`);
  const clock = new ManualClock();
  const url = service(
    (request) => new Response(String(request.headers.get("hedgerow-signature")?.split(",").length)),
  );
  const { handlers, logger } = await open({
    onSend: url,
    keyFile,
    runtime: { clock, random: runtime.random },
  });
  const signatures = async () =>
    Buffer.from((await handlers.onSend?.(bytes("x"), context())) ?? "").toString();
  const look = async () => {
    clock.pass(RELOAD_KEYS_MS);
    await until("it has looked", () => clock.timers.size === 1);
  };
  expect(await signatures()).toBe("1");
  await write(`${KEY}1\n${KEY}2\n`);
  await look();
  expect(await signatures()).toBe("2");
  await write("short\n");
  await look();
  expect(await signatures()).toBe("2");
  expect(logger.lines.map((line) => line.split(" {")[0])).toEqual([
    "new callback keys in use",
    "callback keys not usable, those read before stay in use",
  ]);
  expect(logger.lines.join()).not.toContain(KEY);
});

test("a service elsewhere without a key, and a key that all may read, are warned of", async () => {
  const away = new URL("http://service.example.com:9000/send");
  const unsigned = await open({ onSend: away });
  expect(unsigned.logger.lines).toEqual([
    "the service at service.example.com:9000 cannot know who sends it messages: give --callback-key-file, so that it can tell {}",
  ]);
  await write(KEY, 0o644);
  const shown = await open({ onSend: away, keyFile });
  expect(shown.logger.lines).toEqual([
    `every user of this machine may read --callback-key-file ${keyFile}: chmod o= it {}`,
  ]);
});

test("a file without a key is refused at the start", async () => {
  const url = service(() => new Response());
  await write("# none\n");
  await expect(open({ onSend: url, keyFile })).rejects.toThrow(
    `--callback-key-file ${keyFile} holds no key: openssl rand -hex 32 makes one`,
  );
  await rm(keyFile);
  await expect(open({ onSend: url, keyFile })).rejects.toMatchObject({ code: "invalid_argument" });
});
