import type { ProcessFigures } from "../runtime/system.ts";
import { counter, type Family, gauge } from "./families.ts";

/** A process as Prometheus' client libraries describe it, by the names that they give. */
export function processMetrics(figures: ProcessFigures): Family[] {
  const { startedAtMs, residentBytes, cpuMicros, openFiles } = figures;
  return [
    gauge(
      "process_start_time_seconds",
      "When the process started, seconds since the epoch.",
      startedAtMs / 1e3,
    ),
    gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.", residentBytes),
    counter("process_cpu_seconds_total", "CPU time, the user's and the system's.", cpuMicros / 1e6),
    gauge("process_open_fds", "Open files and sockets.", openFiles),
  ];
}
