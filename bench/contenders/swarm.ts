// One world of simulated gossip in a process of its own, so that several run at once and their memory ends with them.
// Prints what it showed: lists of numbers by name.
import {
  detect,
  falseDeaths,
  heal,
  idle,
  type Setting,
} from "../../test/simulation/swarm/experiments.ts";

export type World = { readonly setting: Setting } & (
  | { readonly task: "detect"; readonly crashes: number; readonly apartIntervals: number }
  | { readonly task: "lose"; readonly loss: number; readonly simulatedMs: number }
  | { readonly task: "heal"; readonly cutMs: number; readonly withinMs: number }
  | { readonly task: "idle"; readonly simulatedMs: number }
);

// Errors are part of each world, and nobody reads where they come from.
Error.stackTraceLimit = 0;

function shown(world: World): Record<string, readonly number[]> {
  const { setting } = world;
  switch (world.task) {
    case "detect": {
      const { ms, falseDeaths: wrong } = detect(setting, world.crashes, world.apartIntervals);
      return { detectedMs: ms, falseDeaths: [wrong.length] };
    }
    case "lose":
      return { falseDeaths: [falseDeaths(setting, world.loss, world.simulatedMs).length] };
    case "heal":
      return { healedMs: [heal(setting, world.cutMs, world.withinMs)] };
    case "idle": {
      const { probes, besides } = idle(setting, world.simulatedMs);
      return { probes: [probes], besides: [besides] };
    }
  }
}

console.log(JSON.stringify(shown(JSON.parse(process.argv[2] ?? "") as World)));
