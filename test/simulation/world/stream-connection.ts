import { HedgerowError } from "../../../src/errors.ts";
import { silentLogger } from "../../../src/observe/logger.ts";
import type { Address, StreamRoute } from "../../../src/rpc/port.ts";
import { copyOf } from "../../../src/rpc/streams/frame-writer.ts";
import { StreamLink } from "../../../src/rpc/streams/link.ts";
import type { Machine } from "./machine.ts";

/** What did not get through is sent again after so many milliseconds, as TCP does. */
const RESENT_MS = 200;

export interface StreamEnd {
  readonly address: Address;
  readonly machine: Machine;
  readonly streamRoutes: ReadonlyMap<string, StreamRoute>;
}

/** What a connection needs of the network. */
export interface Wire {
  after(ms: number, run: () => void): void;
  delayMs(): number;
  /** Whether something from one to the other does not get through at this moment. */
  blocked(from: Address, to: Address): boolean;
  /** Who listens there now. */
  listener(address: Address): StreamEnd | undefined;
}

/** A TCP connection of the simulated network: whole and in order, or cut; between two ends of the real thing. */
export class StreamConnection {
  readonly link: StreamLink;
  #server: { readonly end: StreamEnd; readonly link: StreamLink } | null = null;

  constructor(
    private readonly wire: Wire,
    self: Pick<StreamEnd, "address" | "machine">,
    private readonly to: Address,
  ) {
    this.link = new StreamLink({ clock: self.machine, logger: silentLogger, peer: to });
    const refuse = (error: HedgerowError) =>
      this.#arrive(to, self.address, self.machine, () => this.link.cut(error));
    void this.#carry(this.link, self.machine, self.address, to, (bytes) => {
      const listener = wire.listener(to);
      if (this.#server === null) {
        if (listener === undefined)
          return refuse(error("unavailable", `${to} refused the connection`));
        this.#server = { end: listener, link: this.#serve(listener, self) };
      }
      const { end, link } = this.#server;
      if (listener?.machine !== end.machine) {
        return refuse(error("outcome_unknown", `the connection to ${to} broke`));
      }
      end.machine.arrive(() => {
        if (bytes === null) link.cut(error("outcome_unknown", "the caller closed the connection"));
        else link.receive(bytes);
      });
    });
  }

  #serve(end: StreamEnd, self: Pick<StreamEnd, "address" | "machine">): StreamLink {
    const { machine, streamRoutes: routes } = end;
    const peer = self.address;
    const link = new StreamLink({ clock: machine, logger: silentLogger, peer, routes });
    void this.#carry(link, machine, this.to, self.address, (bytes) =>
      self.machine.arrive(() => {
        if (bytes === null)
          this.link.cut(error("outcome_unknown", `${this.to} closed the connection`));
        else this.link.receive(bytes);
      }),
    );
    return link;
  }

  /** Brings what the link says to the other side, one after the other; null at its end. */
  async #carry(
    link: StreamLink,
    machine: Machine,
    from: Address,
    to: Address,
    deliver: (bytes: Uint8Array | null) => void,
  ): Promise<void> {
    for (;;) {
      const next = await link.next();
      const bytes = next && copyOf(next);
      if (!machine.alive) return;
      await new Promise<void>((delivered) => {
        const attempt = () => {
          if (this.wire.blocked(from, to)) return this.wire.after(RESENT_MS, attempt);
          deliver(bytes);
          delivered();
        };
        this.wire.after(this.wire.delayMs(), attempt);
      });
      if (bytes === null) return;
    }
  }

  #arrive(from: Address, to: Address, machine: Machine, run: () => void): void {
    this.wire.after(this.wire.delayMs(), () => {
      if (!this.wire.blocked(from, to)) machine.arrive(run);
    });
  }
}

function error(code: "unavailable" | "outcome_unknown", message: string): HedgerowError {
  return new HedgerowError(code, message);
}
