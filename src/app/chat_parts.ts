/** The rules of chat made and joined: what the doors get to knock at. Those that have timers end with `parts`. */
import { type FileParts, makeFiles } from "./file_parts.ts";
import type { Bus } from "../bus/bus.ts";
import type { PresenceLeases } from "../bus/presence_leases.ts";
import type { Authenticate } from "../chat/auth.ts";
import { Commands } from "../chat/commands.ts";
import { Connections } from "../chat/connections.ts";
import { DirectMessages } from "../chat/direct_messages.ts";
import { Hearing } from "../chat/hearing.ts";
import { Listening } from "../chat/listening.ts";
import { Memberships } from "../chat/memberships.ts";
import { Messages } from "../chat/messages.ts";
import { Presence } from "../chat/presence.ts";
import { PresenceFeed } from "../chat/presence_feed.ts";
import { Rates } from "../chat/rates.ts";
import { ReadMarkers } from "../chat/read_markers.ts";
import { Receipts } from "../chat/receipts.ts";
import { RoomRules } from "../chat/room_rules.ts";
import { Recovery } from "../chat/recovery.ts";
import { Rooms } from "../chat/rooms.ts";
import { Search } from "../chat/search.ts";
import { Synchronisation } from "../chat/synchronisation.ts";
import { Typing } from "../chat/typing.ts";
import { Users } from "../chat/users.ts";
import type { Config } from "../config.ts";
import type { Hub } from "../delivery/hub.ts";
import type { FileStore } from "../files/file_store.ts";
import type { NearReads } from "../delivery/near_reads.ts";
import type { Log } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { NodeId } from "../protocol/ids.ts";
import type { Appender } from "../store/appender.ts";
import type { Database } from "../store/database.ts";

export interface ChatUses {
  config: Config;
  metrics: Metrics;
  db: Database;
  near: NearReads;
  appender: Appender;
  hub: Hub;
  bus: Bus;
  leases: PresenceLeases;
  store: FileStore | undefined;
  auth: Authenticate;
  nodeId: NodeId;
  log: Log;
}

export interface ChatParts extends FileParts {
  commands: Commands;
  connections: Connections;
  users: Users;
  recovery: Recovery;
}

export function makeChat(uses: ChatUses, parts: AsyncDisposableStack): ChatParts {
  const { config, metrics, db, near, appender, hub, bus, leases, store, auth, nodeId, log } = uses;
  const users = new Users({ db, near, hub, maxRoomMembers: config.chat.maxRoomMembers });
  const rates = new Rates(config.limits);
  const rules = new RoomRules({ db, near, hub, rates });
  const memberships = new Memberships({ rules, maxRoomMembers: config.chat.maxRoomMembers });
  const typing = parts.use(new Typing({ rules, hub, timeoutMs: config.presence.typingMs }));
  const receipts = parts.use(new Receipts({ hub }));
  const presence = parts.use(
    new Presence({
      ...{ rules, hub, log },
      leases,
      feed: parts.use(new PresenceFeed({ nodeId, bus, hub })),
      idleMs: config.presence.idleMs,
      graceMs: config.presence.graceMs,
    }),
  );
  const messages = new Messages({ rules, appender, hub, typing, maxLength: config.chat.maxMessageLength });
  const connections = new Connections({
    auth,
    users,
    hub,
    typing,
    presence,
    node: { id: nodeId, region: config.node.region },
  });
  const hearing = new Hearing({ hub });
  const files = makeFiles({ config, metrics, db, hub, rules, store, log }, parts);
  const commands = new Commands({
    files: files.files,
    rooms: new Rooms({ rules }),
    memberships,
    messages,
    directMessages: new DirectMessages({ rules, messages, presence }),
    readMarkers: new ReadMarkers({ rules, hub, receipts }),
    typing,
    presence,
    listening: new Listening({ rules, memberships, hearing }),
    search: new Search({ rules }),
    synchronisation: new Synchronisation({ db, hearing }),
  }, rates);

  return { commands, connections, users, recovery: new Recovery({ db, hearing }), ...files };
}
