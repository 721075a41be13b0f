import { expect, test } from "bun:test";
import { AUTHORITY_KEY, type AuthorityLog } from "../../src/rpc/authority.ts";
import { openCredentials } from "../../src/rpc/credentials.ts";
import type { TlsMaterial } from "../../src/rpc/tls.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import { MemoryDatabase } from "../../src/store/memory/database.ts";
import { ManualClock } from "./kit/clock.ts";
import { atEnd, RecordingLogger } from "./kit/nodes.ts";

const MINUTE_MS = 60_000;

function emptyDatabase(clock: ManualClock): AuthorityLog {
  return new MemoryDatabase(clock).connect().log as AuthorityLog;
}

/** What nodes write to: a database that can be exchanged under them. */
class Place implements AuthorityLog {
  database: AuthorityLog;

  constructor(private readonly clock: ManualClock) {
    this.database = emptyDatabase(clock);
  }

  append: AuthorityLog["append"] = (...call) => this.database.append(...call);
  read: AuthorityLog["read"] = (...call) => this.database.read(...call);

  /** It comes back without any rows. */
  lose(): void {
    this.database = emptyDatabase(this.clock);
  }

  async certificates(): Promise<string[]> {
    const rows = await this.read(AUTHORITY_KEY, -1);
    return rows.map(({ value }) => JSON.parse(value).cert);
  }
}

async function openNode(log: AuthorityLog, clock: ManualClock, address: string) {
  const logger = new RecordingLogger();
  const runtime = { clock, random: systemRuntime().random };
  const credentials = await openCredentials({ tls: "auto", log, runtime, logger, address });
  atEnd(() => credentials.close());
  const renewed: TlsMaterial[] = [];
  credentials.onRenewed((material) => void renewed.push(material));
  return { credentials, renewed, logger, trusted: () => credentials.current()?.ca };
}

test("a database that comes back empty under a running cluster gets its authority back", async () => {
  const clock = new ManualClock();
  const place = new Place(clock);
  const first = await openNode(place, clock, "10.0.0.1:8080");
  const pass = async (minutes: number) => {
    for (let minute = 0; minute < minutes; minute++) {
      clock.pass(MINUTE_MS);
      await Bun.sleep(0);
    }
  };
  // They reload at different times.
  await pass(3);
  const second = await openNode(place, clock, "10.0.0.2:8080");
  const before = await place.certificates();
  expect(before).toHaveLength(1);
  place.lose();
  await pass(6);
  expect(await place.certificates()).toEqual(before);
  for (const { trusted, renewed, logger } of [first, second]) {
    expect(trusted()).toEqual(before);
    expect(renewed).toEqual([]);
    expect(logger.lines).toEqual([]);
  }
  const newcomer = await openNode(place, clock, "10.0.0.3:8080");
  expect(newcomer.trusted()).toEqual(before);
});

test("of two that put different authorities back at once one wins, and both take it", async () => {
  const clock = new ManualClock();
  const places = [new Place(clock), new Place(clock)];
  const nodes = await Promise.all(
    places.map((place, i) => openNode(place, clock, `10.0.0.${i + 1}:8080`)),
  );
  const own = nodes.map(({ trusted }) => trusted()?.[0]);
  expect(own[0]).not.toBe(own[1]);
  const shared = emptyDatabase(clock);
  for (const place of places) place.database = shared;
  await Promise.all(nodes.map(({ credentials }) => credentials.reload()));
  const [winner, ...others] = (await places[0]?.certificates()) ?? [];
  expect(others).toEqual([]);
  for (const [i, { trusted, renewed }] of nodes.entries()) {
    expect(trusted()).toEqual([winner as string]);
    expect(renewed).toHaveLength(own[i] === winner ? 0 : 1);
  }
  expect(own).toContain(winner);
});
