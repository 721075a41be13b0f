import { expect, test } from "bun:test";
import { type Contender, NotHere, runCase } from "../../bench/harness.ts";
import { Histogram } from "../../bench/histogram.ts";
import { closedLoop } from "../../bench/load.ts";
import { table } from "../../bench/report.ts";
import { alwaysAtMost, atLeastOf, atMostAbove } from "../../bench/targets.ts";

/** Gives one value after the other, and writes down that it was asked. */
function scripted(name: string, role: Contender["role"], values: number[], asked: string[] = []) {
  const contender: Contender & { stopped: boolean } = {
    name,
    role,
    stopped: false,
    start: async () => ({
      measure: async () => {
        asked.push(name);
        return { perSecond: values.shift() ?? Number.NaN };
      },
      [Symbol.asyncDispose]: async () => {
        contender.stopped = true;
      },
    }),
  };
  return contender;
}

const absent: Contender = {
  name: "other",
  role: "peer",
  start: () => Promise.reject(new NotHere("other is not installed")),
};

const metrics = [{ key: "perSecond", title: "calls/s", digits: 0 }];

test("contenders are measured in turn, round after round, and stopped", async () => {
  const asked: string[] = [];
  const limit = scripted("limit", "limit", [0, 100, 300, 200], asked);
  const ours = scripted("ours", "ours", [0, 50, 60, 70], asked);
  const subject = { title: "t", metrics, contenders: [limit, absent, ours], targets: [] };
  const result = await runCase(subject, { rounds: 3, seconds: 1 });
  expect(asked.join(" ")).toBe(Array(4).fill("limit ours").join(" "));
  expect([limit.stopped, ours.stopped]).toEqual([true, true]);
  const [first, second, third] = result.rows;
  expect(first?.spread.perSecond).toEqual({ median: 200, min: 100, max: 300 });
  expect(second?.absent).toBe("other is not installed");
  expect(third?.ratio).toBe(0.3);
});

test("a contender that fails to start stops the ones before it", async () => {
  const limit = scripted("limit", "limit", []);
  const broken: Contender = { ...absent, start: () => Promise.reject(new Error("broken")) };
  const subject = { title: "t", metrics, contenders: [limit, broken], targets: [] };
  const failure = await runCase(subject, { rounds: 1, seconds: 1 }).catch((error) => error);
  expect(failure.message).toBe("broken");
  expect(limit.stopped).toBe(true);
});

test("targets are judged by medians, and those not measured are said to be", async () => {
  const result = await runCase(
    {
      title: "t",
      metrics,
      warmUpSeconds: 0,
      contenders: [
        scripted("limit", "limit", [100, 100, 100]),
        absent,
        scripted("ours", "ours", [39, 41, 90]),
      ],
      targets: [
        atLeastOf("ours", 0.4, "limit"),
        atLeastOf("ours", 0.42, "limit"),
        atMostAbove("ours", -60, "limit", "perSecond"),
        alwaysAtMost("ours", 80, "perSecond"),
        atLeastOf("ours", 2, "other"),
      ],
    },
    { rounds: 3, seconds: 1 },
  );
  expect(result.targets.map(({ figure, met }) => [figure, met])).toEqual([
    [0.41, true],
    [0.41, false],
    [-59, false],
    [90, false],
    [null, null],
  ]);
  const printed = table(result);
  expect(printed).toContain("not measured: other is not installed");
  expect(printed).toContain("at least 0.42 of limit: 0.41, MISSED");
});

test("a histogram gives quantiles within one bucket, also after it has travelled", () => {
  const histogram = new Histogram();
  for (let ms = 1; ms <= 1000; ms++) histogram.record(ms);
  const merged = new Histogram();
  merged.add(JSON.parse(JSON.stringify(histogram)) as number[]);
  merged.add(histogram.toJSON());
  expect(merged.count).toBe(2000);
  expect(Math.abs(merged.quantile(0.5) / 500 - 1)).toBeLessThan(0.012);
  expect(Math.abs(merged.quantile(0.99) / 990 - 1)).toBeLessThan(0.012);
  expect(new Histogram().quantile(0.5)).toBeNaN();
});

test("a closed loop keeps exactly its callers under way", async () => {
  let underWay = 0;
  let most = 0;
  const load = await closedLoop(
    async () => {
      most = Math.max(most, ++underWay);
      await Bun.sleep(1);
      underWay--;
    },
    { callers: 8, seconds: 0.05 },
  );
  expect(most).toBe(8);
  expect(load.calls).toBeGreaterThanOrEqual(8);
  expect(load.latencies.reduce((sum, count) => sum + count, 0)).toBe(load.calls);
});
