import { MAX_STREAM_TIMEOUT_MS } from "../../rpc/limits.ts";
import { type CallSettings, type HedgerowClient, withClient } from "../client.ts";
import { command } from "../command.ts";
import type { CliContext } from "../context.ts";
import { JSON_FLAG, SERVER_FLAGS } from "../flags.ts";
import { jsonBytes } from "../output.ts";
import * as values from "../values.ts";
import { explainedRead, lostOf } from "./explain.ts";
import { STATS_TIMEOUT_MS } from "./status.ts";

const NEWLINE = 10;

export default command({
  operands: { NAME: "of the store, on the node that is asked" },
  flags: {
    from: {
      schema: values.integer(0, Number.MAX_SAFE_INTEGER),
      value: "N",
      fallback: "0",
      section: "Records",
      typedOnly: true,
      help: "begin with this record, counted from 0",
    },
    skipLost: {
      schema: values.yesNo,
      fallback: "false",
      section: "Records",
      typedOnly: true,
      help: "go on behind records that are lost; stderr says how many were left out, and the exit code is 1 if any were",
    },
    ...SERVER_FLAGS,
    ...JSON_FLAG,
  },
  async run(context, { from, skipLost, json, ...server }, [name = ""]) {
    const endless = { ...server, timeout: MAX_STREAM_TIMEOUT_MS };
    return await withClient(context, endless, async (client, options) => {
      const given = { context, client, name, options };
      let next = from;
      let leftOut = 0;
      for (;;) {
        try {
          for await (const { first, records } of client.spillRead(
            { name, from: BigInt(next) },
            options,
          )) {
            await context.stdout.writeBytes(json ? asJson(first, records) : asLines(records));
            next = Number(first) + records.length;
          }
          break;
        } catch (error) {
          const lost = skipLost ? lostOf(error) : null;
          if (lost === null) throw explainedRead(name, next, error);
          leftOut += lost.to - next;
          next = lost.to;
        }
      }
      if (leftOut > 0) context.stderr.write(`${leftOut} records are lost, and were left out\n`);
      else if (next === from && !context.stop.aborted) await sayNothingCame(given, from);
      return leftOut > 0 ? 1 : 0;
    });
  },
});

interface Given {
  readonly context: CliContext;
  readonly client: HedgerowClient;
  readonly name: string;
  readonly options: CallSettings;
}

async function sayNothingCame({ context, client, name, options }: Given, from: number) {
  const { stores } = await client.spillStats({ name }, { ...options, timeoutMs: STATS_TIMEOUT_MS });
  const held = stores[0]?.records ?? 0n;
  const what = from === 0 ? "" : `: none from ${from} on, they are counted from 0`;
  context.stderr.write(`${name} holds ${held} records${what}\n`);
}

function asLines(records: readonly Uint8Array[]): Uint8Array {
  const lines = new Uint8Array(records.reduce((sum, record) => sum + record.length + 1, 0));
  let at = 0;
  for (const record of records) {
    lines.set(record, at);
    at += record.length;
    lines[at++] = NEWLINE;
  }
  return lines;
}

/** A line each, which tells apart what lines cannot: records with newlines, and bytes that are no text. */
function asJson(first: bigint, records: readonly Uint8Array[]): Uint8Array {
  const lines = records.map((record, i) => {
    const shown = { index: Number(first) + i, ...jsonBytes("record", record) };
    return `${JSON.stringify(shown)}\n`;
  });
  return Buffer.from(lines.join(""));
}
