/** Two nodes' ends of one Redis. */
import { type OpenBus, openBus } from "../../src/bus/open_bus.ts";
import { newNodeId } from "../../src/protocol/ids.ts";
import { quietLog } from "../helpers/databases.ts";

export interface RedisPair extends AsyncDisposable {
  readonly ends: readonly [OpenBus, OpenBus];
}

let prefixes = 0;

/** Apart from all other pairs on the same server. */
export async function openPair(url: string): Promise<RedisPair> {
  const prefix = `test-${++prefixes}:`;
  await using parts = new AsyncDisposableStack();
  const open = async (): Promise<OpenBus> =>
    parts.use(await openBus({ is: "redis", url, prefix }, { nodeId: newNodeId(), log: quietLog }));
  const ends = [await open(), await open()] as const;
  const owned = parts.move();
  return { ends, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
