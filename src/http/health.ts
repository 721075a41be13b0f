import { Hono } from "hono";
import { messageOf } from "../errors.ts";
import type { HedgerowNode } from "../node/api.ts";
import { Operation } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import { line } from "./respond.ts";

/** Probes give up after one second by default, so that the answer must come sooner. */
const READY_TIMEOUT_MS = 900;

/** `/livez`: the process runs. `/readyz`: 200, or 503 with what is missing. */
export function healthRoutes(node: HedgerowNode, clock: Clock): Hono {
  const app = new Hono();
  app.get("/livez", () => line(200, "ok"));
  app.get("/readyz", async (c) => {
    using operation = new Operation(
      clock,
      "readiness",
      { signal: c.req.raw.signal },
      READY_TIMEOUT_MS,
    );
    try {
      await operation.race(node.ready());
      return line(200, "ok");
    } catch (error) {
      return line(503, messageOf(error));
    }
  });
  return app;
}
