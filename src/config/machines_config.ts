/**
 * The machines that serve one address, for sessions of Socket.IO that live on one of them. On Fly the proxy finds it; else
 * NODE_NAME and PEER_ADDRESSES say where each is reached by the others.
 */
import type { EnvironmentReader } from "./environment.ts";

export interface MachinesConfig {
  /** Of this one. */
  readonly name: string | undefined;
  /** Behind Fly's proxy, which takes a request to the machine that we name. */
  readonly isOnFly: boolean;
  /** Where the others are reached from here. */
  readonly peers: ReadonlyMap<string, string>;
}

const NAME = /^[A-Za-z0-9-]{1,32}$/;

export function readMachines(from: EnvironmentReader): MachinesConfig {
  const fly = from.optional("FLY_MACHINE_ID");
  const given = from.optional("NODE_NAME");
  if (given !== undefined && !NAME.test(given)) {
    from.fault("NODE_NAME", "may have at most 32 letters, digits and hyphens");
  }
  const peers = new Map<string, string>();
  for (const entry of from.list("PEER_ADDRESSES", [])) {
    const [name = "", url = ""] = entry.split(/=(.*)/s);
    const isAddress = URL.canParse(url) && /^https?:$/.test(new URL(url).protocol) &&
      new URL(url).pathname === "/";
    if (!NAME.test(name) || !isAddress) {
      from.fault("PEER_ADDRESSES", "must be like a=http://10.0.0.1:3001,b=http://10.0.0.2:3001");
    } else if (name !== given) peers.set(name, new URL(url).origin);
  }
  if (peers.size > 0 && given === undefined) from.fault("NODE_NAME", "is missing beside PEER_ADDRESSES");
  return { name: given ?? fly, isOnFly: fly !== undefined && peers.size === 0, peers };
}
