import { connect } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { createClientApi } from "../../../src/http/client-api.ts";
import { GrpcListener } from "../../../src/http/grpc/listener.ts";
import { createGrpcService, type GrpcServiceOptions } from "../../../src/http/grpc/service.ts";
import type { HedgerowNode } from "../../../src/node/api.ts";
import { silentLogger } from "../../../src/observe/logger.ts";
import type { Clock } from "../../../src/runtime/runtime.ts";
import { systemClock } from "../../../src/runtime/system.ts";
import { fakeNode } from "../fake-node.ts";

export const clock = systemClock();

/** A grpc listener on a free port, and clients on one connection to it. */
export class GrpcKit implements AsyncDisposable {
  readonly #sessions: Http2SessionManager;
  readonly #transport;

  private constructor(readonly listener: GrpcListener) {
    const baseUrl = `http://${listener.address}`;
    // The default of 10 MB ends the connection under one large request.
    this.#sessions = new Http2SessionManager(baseUrl, {}, { maxSessionMemory: 1_000 });
    this.#transport = createGrpcTransport({ baseUrl, sessionManager: this.#sessions });
  }

  /** Serves nothing yet. */
  static async starting(time: Clock = clock): Promise<GrpcKit> {
    return new GrpcKit(await GrpcListener.open({ address: "127.0.0.1:0", clock: time }));
  }

  static async serving(
    replaced: Partial<HedgerowNode> = {},
    options: Partial<GrpcServiceOptions> = {},
    time: Clock = clock,
  ): Promise<GrpcKit> {
    const kit = await GrpcKit.starting(time);
    const node = fakeNode(replaced);
    const api = createClientApi(node, clock);
    kit.listener.serve(createGrpcService({ node, api, clock, logger: silentLogger, ...options }));
    return kit;
  }

  client<S extends DescService>(service: S): Client<S> {
    return createClient(service, this.#transport);
  }

  /** Sends bytes that are no gRPC, and gives the number of those that came back until the end. */
  raw(bytes: string): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    let received = 0;
    const [host, port] = this.listener.address.split(":");
    const socket = connect(Number(port), host, () => socket.write(bytes));
    socket.on("data", (data) => {
      received += data.length;
    });
    socket.on("error", () => resolve(received));
    socket.on("close", () => resolve(received));
    socket.setTimeout(5_000, () => reject(new Error("the connection stayed open")));
    return promise.finally(() => socket.destroy());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sessions.abort();
    await this.listener.stop();
  }
}
