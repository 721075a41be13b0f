import type { Benchmark } from "./harness.ts";
import { ETCD, handOverCase, OURS } from "./lock.ts";
import { atMostTimes } from "./targets.ts";

const CLIENT = "node-semaphore.ts";

export const benchmark: Benchmark = {
  summary: "hand-over of contended permits between two processes, from release to acquire",
  cases: [
    // etcd tells those that have waited for less than 100 ms late: this is at its best.
    handOverCase(CLIENT, "8 semaphores of 1 permit, held 150 ms", 8, 150, [
      atMostTimes(OURS, 1, ETCD, "p50Ms"),
      atMostTimes(OURS, 0.5, ETCD, "p50Ms"),
    ]),
    handOverCase(CLIENT, "1 semaphore of 1 permit, held 3 ms", 1, 3, []),
  ],
};
