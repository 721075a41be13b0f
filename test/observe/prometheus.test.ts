import { expect, test } from "bun:test";
import { CallCounts } from "../../src/observe/call-counts.ts";
import { by, counter, gauge, histogram } from "../../src/observe/families.ts";
import { Histogram } from "../../src/observe/histogram.ts";
import { prometheusText } from "../../src/observe/prometheus.ts";
import { HedgerowError } from "../../src/errors.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { parseExposition, sampleOf } from "./exposition.ts";

test("each kind of metric is written as the format has it", () => {
  const sizes = new Histogram([1, 2.5]);
  for (const value of [0.5, 1, 1.5, 2.5, 3]) sizes.observe(value);
  const text = prometheusText([
    counter("a_total", "All\\of\nit.", 3),
    gauge("b", "Two.", ...by("kind", { x: 0.1, 'y"\\\n': Infinity })),
    gauge("none", "No value at the moment."),
    histogram("c_bytes", "Sizes.", { labels: { of: "d" }, value: sizes }),
  ]);
  expect(text).toBe(`# HELP a_total All\\\\of\\nit.
# TYPE a_total counter
a_total 3
# HELP b Two.
# TYPE b gauge
b{kind="x"} 0.1
b{kind="y\\"\\\\\\n"} +Inf
# HELP none No value at the moment.
# TYPE none gauge
# HELP c_bytes Sizes.
# TYPE c_bytes histogram
c_bytes_bucket{of="d",le="1"} 2
c_bytes_bucket{of="d",le="2.5"} 4
c_bytes_bucket{of="d",le="+Inf"} 5
c_bytes_sum{of="d"} 8.5
c_bytes_count{of="d"} 5
`);
  expect(sampleOf(parseExposition(text), "c_bytes", '_count{of="d"}')).toBe(5);
});

test("calls are counted by how they ended, and timed", async () => {
  const clock = new ManualClock();
  const counts = new CallCounts(clock, ["put", "broadcast"]);
  const lasting = async <T>(ms: number, end: () => T) => {
    clock.pass(ms);
    return end();
  };
  const failing = (error: Error) => () => {
    throw error;
  };
  expect(await counts.track("put", () => lasting(3, () => "done"))).toBe("done");
  const late = new HedgerowError("timeout", "late");
  const failed = counts.track("put", () => lasting(2_000, failing(late)));
  expect(await failed.catch((error: unknown) => error)).toBe(late);
  const defect = counts.track("put", () => lasting(1, failing(new Error("defect"))));
  expect(await defect.catch((error: Error) => error.message)).toBe("defect");
  async function* replies() {
    clock.pass(40);
    yield 1;
    yield 2;
    throw late;
  }
  for await (const reply of counts.trackAll("broadcast", replies())) if (reply === 1) break;
  const all = Array.fromAsync(counts.trackAll("broadcast", replies()));
  expect(await all.catch((error: unknown) => error)).toBe(late);
  const counted = [...counts].map(([call, { ok, errors, durations }]) => {
    return { call, ok, errors: Object.fromEntries(errors), ms: Math.round(1e3 * durations.sum) };
  });
  expect(counted).toEqual([
    { call: "put", ok: 1, errors: { timeout: 1, internal: 1 }, ms: 2_004 },
    { call: "broadcast", ok: 1, errors: { timeout: 1 }, ms: 80 },
  ]);
});
