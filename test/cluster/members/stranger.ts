// Whoever talks to a peer listener without being a node. Imports nothing of src.
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Node } from "../processes.ts";
import type { Credentials } from "./authority.ts";

/** What a listener made of a request: the code of its error, "ok", or that there was no answer. */
export type Outcome = string;
export const NO_ANSWER = "no answer";

/** By default the label of a cluster whose nodes are started without one. */
export const LABEL = "locktable/hedgerow";

export class Stranger {
  /** null: plain text; without a certificate it still trusts the authority. */
  constructor(private readonly credentials: Partial<Credentials> | null) {}

  /** Calls a method of hedgerow.v1.GossipService; `label` null sends none. */
  async call(
    node: Node,
    method: string,
    body: BodyInit,
    label: string | null = LABEL,
  ): Promise<Outcome> {
    const secure = this.credentials !== null;
    const url = `${secure ? "https" : "http"}://${node.address}/hedgerow.v1.GossipService/${method}`;
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: {
          "content-type": "application/proto",
          ...(label !== null && { "hedgerow-label": encodeURIComponent(label) }),
        },
        body,
        signal: AbortSignal.timeout(5_000),
        ...(secure && { tls: { ...this.credentials, serverName: "hedgerow" }, protocol: "http2" }),
      } as BunFetchRequestInit);
      const text = await response.text();
      return response.ok ? "ok" : (JSON.parse(text) as { code: string }).code;
    } catch (error) {
      if (error instanceof SyntaxError) throw error;
      return NO_ANSWER;
    }
  }

  /**
   * Sends bytes and waits a moment for the listener to end the connection. They go through TLS if there is any, whose
   * handshake must succeed.
   */
  async send(node: Node, bytes: Uint8Array, patienceMs: number): Promise<void> {
    const socket = this.credentials === null ? tcp(node) : await this.#tls(node);
    const ended = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {}); // "close" follows
    socket.write(bytes);
    await Promise.race([ended, Bun.sleep(patienceMs)]);
    socket.destroy();
  }

  #tls(node: Node): Promise<Socket> {
    const { hostname, port } = new URL(`https://${node.address}`);
    const socket = connectTls({
      host: hostname,
      port: Number(port),
      servername: "hedgerow",
      ALPNProtocols: ["h2"],
      ...this.credentials,
    });
    return new Promise((resolve, reject) => {
      socket.once("secureConnect", () => resolve(socket));
      socket.once("error", reject);
    });
  }
}

/** A connection that says nothing. */
export function tcp(node: Node): Socket {
  const { hostname, port } = new URL(`http://${node.address}`);
  return connectTcp(Number(port), hostname);
}
