import { expect, test } from "bun:test";
import { pick, probeTarget } from "../../src/members/choice.ts";
import { SortedNames } from "../../src/members/sorted-names.ts";
import { Prng } from "../simulation/world/prng.ts";

function namesOf(count: number): SortedNames {
  const names = new SortedNames();
  for (let i = 0; i < count; i++) names.add(`node-${String((i * 7919) % count).padStart(4, "0")}`);
  return names;
}

test("in every slot each member is probed by exactly one other", () => {
  for (const count of [2, 3, 5, 12, 151, 1_000]) {
    const names = namesOf(count);
    for (const slot of [0, 1, 2, 3_400_000_123, 3_400_000_124]) {
      const targets = [...names].map((name) => probeTarget(names, name, slot));
      expect(new Set(targets).size).toBe(count);
      expect([...names].every((name, i) => name !== targets[i])).toBe(true);
    }
  }
});

test("in n - 1 slots each node probes each other once, in an order that changes", () => {
  const names = namesOf(30);
  const round = (number: number) =>
    Array.from({ length: 29 }, (_, i) => probeTarget(names, "node-0007", 29 * number + i));
  for (const number of [0, 1, 117_241_379]) expect(new Set(round(number)).size).toBe(29);
  expect(round(0)).not.toEqual(round(1));
});

test("whoever is alone probes nobody", () => {
  expect(probeTarget(namesOf(1), "node-0000", 7)).toBeNull();
});

test("those picked are different, accepted, and anybody in the long run", () => {
  for (const count of [5, 200]) {
    const names = namesOf(count);
    const prng = new Prng(1);
    const seen = new Set<string>();
    for (let i = 0; i < 40 * count; i++) {
      const picked = pick(names, 3, prng, (name) => name !== "node-0001");
      expect(new Set(picked).size).toBe(3);
      for (const name of picked) seen.add(name);
    }
    expect(seen.size).toBe(count - 1);
    expect(seen.has("node-0001")).toBe(false);
  }
  expect(pick(namesOf(3), 5, new Prng(1), () => true).length).toBe(3);
});

test("names stay sorted and single", () => {
  const names = new SortedNames();
  for (const name of ["c", "a", "b", "a"]) names.add(name);
  names.delete("b");
  names.delete("x");
  expect([...names]).toEqual(["a", "c"]);
  expect([names.indexOf("a"), names.indexOf("b"), names.indexOf("c")]).toEqual([0, 1, 1]);
});
