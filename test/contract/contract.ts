import { describe } from "bun:test";
import { callsContract } from "./calls.ts";
import { conditionalContract } from "./conditional.ts";
import { historyContract } from "./history.ts";
import { inputContract } from "./input.ts";
import { lockContract } from "./lock.ts";
import { logContract } from "./log.ts";
import { semaphoresContract } from "./semaphores.ts";
import type { MakeWorld } from "./world.ts";

/** What src/store/ports.ts promises, put to one implementation of it. */
export function contract(name: string, makeWorld: MakeWorld): void {
  describe(`${name}: the store's contract`, () => {
    lockContract(makeWorld);
    logContract(makeWorld);
    conditionalContract(makeWorld);
    historyContract(makeWorld);
    semaphoresContract(makeWorld);
    inputContract(makeWorld);
    callsContract(makeWorld);
  });
}
