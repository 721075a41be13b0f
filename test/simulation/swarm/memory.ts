/** `bun test/simulation/swarm/memory.ts NODES`: megabytes that a process of so many idle nodes takes in all. */
import { FAST_PROFILE } from "../../../src/members/timing.ts";
import { Swarm } from "./swarm.ts";

const swarm = new Swarm(1, { nodes: Number(process.argv[2]), timing: FAST_PROFILE });
swarm.pass(60_000);
if (!swarm.isWhole()) throw new Error("not whole");
Bun.gc(true);
console.log(process.memoryUsage.rss() / 2 ** 20);
