/** The doors of sockets, which share one admission, one queue of work and one warden; and how they close together. */
import { Admission } from "../chat/admission.ts";
import type { Authenticate } from "../chat/auth.ts";
import type { WorkQueue } from "../chat/work_queue.ts";
import type { Config } from "../config.ts";
import type { Log } from "../log.ts";
import type { NodeId } from "../protocol/ids.ts";
import { SocketIoDoor } from "../socketio/door.ts";
import { Machines } from "../socketio/machines.ts";
import type { Caller } from "../sockets/caller.ts";
import type { SocketWarden } from "../sockets/socket_warden.ts";
import { Tarpit } from "../sockets/tarpit.ts";
import { NativeDoor } from "../ws/door.ts";
import type { ChatParts } from "./chat_parts.ts";

export interface DoorUses {
  config: Config;
  chat: Pick<ChatParts, "commands" | "connections" | "recovery">;
  work: WorkQueue;
  warden: SocketWarden;
  auth: Authenticate;
  mayConnectFrom: (origin: string) => boolean;
  nodeId: NodeId;
  log: Log;
}

export interface Doors {
  /** Undefined if the address is none of theirs. */
  handle(pathname: string, request: Request, caller: Caller): Promise<Response> | undefined;
  /** Of sockets, that will be told later. */
  readonly refusalsWaiting: number;
  /** No new sockets from now on; those that never signed in go at once. */
  drain(): void;
  /** Settles when no socket is left. */
  emptied(): Promise<void>;
  /** Nobody is waited for any longer. */
  end(): void;
}

export function makeDoors(uses: DoorUses): Doors {
  const { config, chat, work, warden, auth, mayConnectFrom, nodeId, log } = uses;
  const { pingIntervalMs, pingTimeoutMs, maxFrameBytes } = config.socket;
  const { limits } = config;
  const admission = new Admission({
    maxPerUser: limits.socketsPerUser,
    maxPerAddress: limits.socketsPerAddress,
    maxUnauthenticated: limits.socketsUnauthenticated,
    maxInAll: limits.sockets,
  });
  const tarpit = new Tarpit(() => !warden.isBusy);
  const shared = { ...chat, work, warden, admission, tarpit, auth, log, maxFrameBytes };
  const native = new NativeDoor({
    ...shared,
    mayConnectFrom,
    idleTimeoutS: Math.ceil((pingIntervalMs + pingTimeoutMs) / 1000),
  });
  const machines = new Machines({ ...config.machines, ...shared, fallback: nodeId.slice(-12) });
  const socketIo = new SocketIoDoor({
    ...shared,
    pingIntervalMs,
    pingTimeoutMs,
    origins: mayConnectFrom,
    sidPrefix: machines.sidPrefix,
    elsewhere: (request, sid, caller) => machines.answer(request, sid, caller),
  });
  return {
    handle: (pathname, request, caller) => {
      if (pathname === "/ws") return native.upgrade(request, caller);
      if (pathname === "/socket.io/" || pathname === "/socket.io") return socketIo.handle(request, caller);
      return undefined;
    },
    get refusalsWaiting() {
      return tarpit.waiting;
    },
    drain: () => {
      tarpit.drain();
      native.drain();
      socketIo.drain();
      machines.drain();
    },
    emptied: async () => {
      await Promise.all([native.emptied(), socketIo.emptied()]);
    },
    end: () => socketIo.end(),
  };
}
