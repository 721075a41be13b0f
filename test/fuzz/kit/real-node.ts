import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHttpApp } from "../../../src/http/app.ts";
import { createClientApi } from "../../../src/http/client-api.ts";
import { HttpListener } from "../../../src/http/listener.ts";
import { Hedgerow } from "../../../src/node/hedgerow.ts";
import type { IdleControl } from "../../../src/rpc/server.ts";
import { systemClock } from "../../../src/runtime/system.ts";
import { until } from "../../rpc/kit/wait.ts";
import { RecordingLogger } from "../../rpc/kit/nodes.ts";

/** A node with its sockets, on a SQLite file of its own. */
export class RealNode implements AsyncDisposable {
  private constructor(
    readonly node: Hedgerow,
    readonly http: HttpListener,
    /** Of the http listener, without its socket. */
    readonly ask: (request: Request) => Response | Promise<Response>,
    readonly logger: RecordingLogger,
    private readonly end: () => Promise<void>,
  ) {}

  /** Leads once it is there. `prepare` gets the path of its file before it is opened. */
  static async start(prepare = async (_path: string) => {}): Promise<RealNode> {
    const directory = mkdtempSync(join(tmpdir(), "hedgerow-fuzz-"));
    const path = join(directory, "fuzz.db");
    await prepare(path);
    const logger = new RecordingLogger();
    const node = await Hedgerow.start({
      store: `sqlite:${path}`,
      address: "127.0.0.1:0",
      lease: "2s",
      onSend: (data) => data,
      onBroadcast: (data) => data,
    });
    const clock = systemClock();
    const http = new HttpListener({ address: "127.0.0.1:0", clock });
    const rules = { boundHost: http.host, hosts: [], origins: [] };
    const api = createClientApi(node, clock);
    const app = createHttpApp({ node, api, hostname: "pod-1", rules, logger, clock });
    http.serve(app);
    const quiet: IdleControl = { timeout() {} };
    const ask = (request: Request) => app.fetch(request, quiet);
    await until("it leads", () => node.isLeader, 10_000);
    return new RealNode(node, http, ask, logger, async () => {
      await http.stop();
      await node.stop();
      rmSync(directory, { recursive: true });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}
