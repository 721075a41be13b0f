import type { ConnectRouter } from "@connectrpc/connect";
import {
  type ConnectHandlers,
  type ConnectHandlersOptions,
  connectHandlers,
} from "../rpc/handlers.ts";
import { type IdleControl, noSuchRoute } from "../rpc/server.ts";

/** Connect's handlers of services that few ask for: what they are made of is loaded when somebody does. */
export class LateHandlers {
  #handlers: Promise<ConnectHandlers> | null = null;
  #stopped = false;

  constructor(
    private readonly load: () => Promise<(router: ConnectRouter) => void>,
    private readonly options: ConnectHandlersOptions,
  ) {}

  async handle(request: Request, server: IdleControl): Promise<Response> {
    this.#handlers ??= this.load().then((register) => connectHandlers(register, this.options));
    const handlers = await this.#handlers;
    if (this.#stopped) handlers.stop();
    return await (handlers.handle(request, server) ?? noSuchRoute(request));
  }

  stop(): void {
    this.#stopped = true;
    void this.#handlers?.then((handlers) => handlers.stop());
  }
}
