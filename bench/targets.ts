import type { Row, Target } from "./harness.ts";

function median(rows: readonly Row[], name: string, key: string): number | undefined {
  return rows.find((row) => row.name === name)?.spread[key]?.median;
}

function target(
  text: string,
  figureOf: (rows: readonly Row[]) => number | undefined,
  isMet: (figure: number) => boolean,
): Target {
  return {
    text,
    judge(rows) {
      const figure = figureOf(rows);
      return figure === undefined || Number.isNaN(figure) ? null : { figure, met: isMet(figure) };
    },
  };
}

function compared(
  rows: readonly Row[],
  ours: string,
  other: string,
  key: string,
  how: (a: number, b: number) => number,
): number | undefined {
  const [a, b] = [median(rows, ours, key), median(rows, other, key)];
  return a === undefined || b === undefined ? undefined : how(a, b);
}

/** Ours reaches at least `share` of the other's median. */
export function atLeastOf(ours: string, share: number, other: string, key = "perSecond"): Target {
  return target(
    `${ours}: at least ${share} of ${other}`,
    (rows) => compared(rows, ours, other, key, (a, b) => a / b),
    (figure) => figure >= share,
  );
}

/** Ours takes at most `times` the other's median. */
export function atMostTimes(ours: string, times: number, other: string, key: string): Target {
  return target(
    `${ours}: ${key} at most ${times} times that of ${other}`,
    (rows) => compared(rows, ours, other, key, (a, b) => a / b),
    (figure) => figure <= times,
  );
}

/** The other takes at least `times` as much as ours. */
export function timesAsFast(ours: string, times: number, other: string, key: string): Target {
  return target(
    `${ours}: ${key} at least ${times} times better than ${other}`,
    (rows) => compared(rows, ours, other, key, (a, b) => b / a),
    (figure) => figure >= times,
  );
}

/** Ours takes at most `amount` more than the other's median. */
export function atMostAbove(ours: string, amount: number, other: string, key: string): Target {
  return target(
    `${ours}: ${key} at most ${amount} above that of ${other}`,
    (rows) => compared(rows, ours, other, key, (a, b) => a - b),
    (figure) => figure <= amount,
  );
}

/** The median of ours is at least `bound`. */
export function atLeast(ours: string, bound: number, key: string): Target {
  return target(
    `${ours}: ${key} at least ${bound}`,
    (rows) => median(rows, ours, key),
    (figure) => figure >= bound,
  );
}

/** The median of ours is at most `bound`. */
export function atMost(ours: string, bound: number, key: string): Target {
  return target(
    `${ours}: ${key} at most ${bound}`,
    (rows) => median(rows, ours, key),
    (figure) => figure <= bound,
  );
}

/** Every single round of ours is at most `bound`. */
export function alwaysAtMost(ours: string, bound: number, key: string): Target {
  return target(
    `${ours}: ${key} at most ${bound} in every run`,
    (rows) => rows.find((row) => row.name === ours)?.spread[key]?.max,
    (figure) => figure <= bound,
  );
}
