import { HedgerowError } from "../errors.ts";
import type { StatusResponse } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import { isWildcard } from "../http/hosts.ts";
import { joinAddress, splitAddress } from "../node/address.ts";
import { askStatus } from "./client.ts";
import { command } from "./command.ts";
import type { CliContext } from "./context.ts";
import { checkClocks } from "./doctor/clock.ts";
import type { Finding } from "./doctor/finding.ts";
import { checkGrpcPort, checkHttpPort, checkPeerPort, checkPeers } from "./doctor/network.ts";
import { checkStore } from "./doctor/store.ts";
import { JSON_FLAG, SERVE_FLAGS } from "./flags.ts";
import { checkListeners } from "./listeners.ts";
import { printJson, table } from "./output.ts";

const ASK_TIMEOUT_MS = 1_000;

const { peerAddr, httpAddr, grpcAddr, clientTokenFile, clientTlsCert } = SERVE_FLAGS;
const { store, lockTable, lockName, logTable, lease, join } = SERVE_FLAGS;

export default command({
  flags: {
    ...{ peerAddr, httpAddr, grpcAddr, clientTokenFile, clientTlsCert },
    ...{ store, lockTable, lockName, logTable, lease, join },
    ...JSON_FLAG,
  },
  async run(context, config) {
    const { runtime } = context;
    await checkListeners(config);
    const running = await askNode(context, config);
    const storage = await checkStore(
      {
        spec: config.store,
        lockTable: config.lockTable,
        lockName: config.lockName,
        logTable: config.logTable ?? "",
        leaseMs: config.lease,
      },
      runtime,
    );
    const members = running?.members.map(({ address }) => address) ?? [];
    const peers = new Set([...members, ...config.join]);
    if (storage.leader !== null) peers.add(storage.leader);
    const findings = [
      ...storage.findings,
      ...checkClocks(runtime.clock, storage.writtenMs),
      checkHttpPort(config.httpAddr, running),
      ...(config.grpcAddr === null ? [] : [checkGrpcPort(config.grpcAddr, running)]),
      await checkPeerPort(config.peerAddr, running),
      ...(await checkPeers(peers, runtime.clock)),
    ];
    if (config.json) printJson(context.stdout, findings);
    else context.stdout.write(table(findings.map(row)));
    return findings.every(({ ok }) => ok) ? 0 : 1;
  },
});

function row({ ok, check, says }: Finding): string[] {
  return [ok ? "ok" : "FAIL", check, says];
}

interface NodeFlags {
  readonly httpAddr: string;
  readonly clientTokenFile: string | null;
  readonly clientTlsCert: string | null;
}

/** Status of the node that runs with these flags on this machine; null for none. Throws `unauthenticated`. */
async function askNode(
  context: CliContext,
  { httpAddr, clientTokenFile: tokenFile, clientTlsCert }: NodeFlags,
): Promise<StatusResponse | null> {
  const { host, port } = splitAddress(httpAddr);
  const at = joinAddress(host === "" || isWildcard(host) ? "127.0.0.1" : host, port);
  const url = `${clientTlsCert === null ? "http" : "https"}://${at}`;
  try {
    // Its certificate names where others reach it, not this machine's own loopback.
    return await askStatus(context, url, { tokenFile, insecure: true }, ASK_TIMEOUT_MS);
  } catch (error) {
    if (!HedgerowError.is(error, "unauthenticated")) throw error;
    const message = `the node on ${httpAddr} asks for a token: give its --client-token-file`;
    throw new HedgerowError(error.code, message, { cause: error });
  }
}
