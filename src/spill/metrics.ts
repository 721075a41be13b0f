import { by, counter, type Family, gauge } from "../observe/families.ts";
import type { Spill } from "./spill.ts";

/** What records take of this node, those that it keeps for others included. */
export function spillMetrics({ memory, disk, size, holder }: Spill): Family[] {
  return [
    gauge("hedgerow_spill_stores", "Spill stores of this node.", size),
    gauge(
      "hedgerow_spill_used_bytes",
      "What spill stores take of this node, those of other nodes included.",
      ...by("medium", { memory: memory.used, disk: disk.used }),
    ),
    gauge(
      "hedgerow_spill_limit_bytes",
      "What spill stores may take of this node.",
      ...by("medium", { memory: memory.limit, disk: disk.limit }),
    ),
    counter(
      "hedgerow_spill_refusals_total",
      "Segments that other nodes wanted to keep here, for which there was no room any more.",
      holder.refusals,
    ),
  ];
}
