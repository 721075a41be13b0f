import type { HedgerowNode } from "../node/api.ts";
import { processFigures } from "../runtime/system.ts";

/** The node's metrics and those of its process, for Prometheus. */
export async function metricsPage(node: HedgerowNode): Promise<Response> {
  const { processMetrics } = await import("../observe/process.ts");
  const { PROMETHEUS_TYPE, prometheusText } = await import("../observe/prometheus.ts");
  const text = (await node.metrics()) + prometheusText(processMetrics(processFigures()));
  return new Response(text, {
    headers: { "content-type": PROMETHEUS_TYPE, "cache-control": "no-store" },
  });
}
