import { ConnectError } from "@connectrpc/connect";
import { HedgerowError } from "../../errors.ts";
import { fromConnectError } from "../../rpc/errors.ts";

/** Why the stream ended, once it has. Never rejects. */
export async function endOf(messages: AsyncIterator<unknown>): Promise<HedgerowError> {
  try {
    while (!(await messages.next()).done);
    return lost("the node has ended it");
  } catch (thrown) {
    return thrown instanceof ConnectError ? fromConnectError(thrown) : HedgerowError.from(thrown);
  }
}

export function unconfirmed(): HedgerowError {
  return lost("the node has not confirmed it in time");
}

function lost(message: string): HedgerowError {
  return new HedgerowError("claim_lost", message);
}
