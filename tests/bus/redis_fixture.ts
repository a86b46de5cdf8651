/** Two nodes' ends of one Redis, over TCP or over Upstash's REST. */
import { type OpenBus, openBus } from "../../src/bus/open_bus.ts";
import type { BusConfig } from "../../src/config.ts";
import { createLog } from "../../src/log.ts";
import { newNodeId } from "../../src/protocol/ids.ts";
import { quietLog } from "../helpers/databases.ts";

export interface RedisPair extends AsyncDisposable {
  readonly ends: readonly [OpenBus, OpenBus];
}

let prefixes = 0;

/** Apart from all other pairs on the same server. */
export function openPair(url: string): Promise<RedisPair> {
  return open({ is: "redis", url, prefix: `test-${++prefixes}:` });
}

export function openUpstashPair(
  url: string,
  token: string,
  onLog?: (line: string) => void,
): Promise<RedisPair> {
  return open({ is: "upstash", url, token, prefix: `test-${++prefixes}:` }, onLog);
}

async function open(config: BusConfig, onLog?: (line: string) => void): Promise<RedisPair> {
  const log = onLog === undefined ? quietLog : createLog("debug", onLog);
  await using parts = new AsyncDisposableStack();
  const end = async (): Promise<OpenBus> => parts.use(await openBus(config, { nodeId: newNodeId(), log }));
  const ends = [await end(), await end()] as const;
  const owned = parts.move();
  return { ends, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
