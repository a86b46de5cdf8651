/** Who calls: the other end of the connection, and whom its sockets are counted for. */
import { expandIpv6, peerKey } from "./libc.ts";

export interface Caller {
  /** As the warden spells it. */
  peer: string;
  /** The address, the /64 of an IPv6 address, or what the proxy that we trust says. */
  address: string;
}

/** Of a list only the last entry is the proxy's own; the others are what the client said. `header`: trusted only where configuration names one; anybody can send it. */
export function callerOf(request: Request, remote: Deno.NetAddr, header: string | undefined): Caller {
  const named = header === undefined ? undefined : request.headers.get(header)?.split(",").at(-1)?.trim();
  return {
    peer: peerKey(remote.hostname, remote.port),
    address: addressKey(named === undefined || named === "" ? remote.hostname : named.slice(0, 64)),
  };
}

/** An address as it is counted: of IPv6 its /64. */
export function addressKey(address: string): string {
  if (!address.includes(":")) return address;
  const [hostname = ""] = peerKey(address, 0).split("|");
  return hostname.includes(":")
    ? expandIpv6(hostname).slice(0, 4).map((group) => group.toString(16)).join(":")
    : hostname;
}
