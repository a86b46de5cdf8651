/** Where a reason of the table of refusals cannot be had by a command, and why. Checked against the table both ways. */
import type { CommandName } from "../../src/protocol/commands.ts";
import type { Reason } from "./refusal_rows.ts";

export interface NotApplicable {
  reason: Reason;
  why: string;
  commands: readonly CommandName[];
}

/** They name a file: who may have it is shown by tests/attachments/. */
const OF_FILES = ["get_file_state", "get_file_link", "remove_file"] as const satisfies CommandName[];
/** They name neither a room nor a message. */
const OF_NO_ROOM = [
  ...OF_FILES,
  "authenticate",
  "create_room",
  "list_rooms",
  "discover_rooms",
  "send_direct_message",
  "list_conversations",
  "list_direct_messages",
  "block_user",
  "unblock_user",
  "list_blocked",
  "unread_counts",
  "update_status",
  "user_status",
  "online_count",
  "watch_presence",
] as const satisfies CommandName[];
const OF_NO_USER = [
  "authenticate",
  "create_room",
  "list_rooms",
  "discover_rooms",
  "list_conversations",
  "list_blocked",
  "unread_counts",
  "update_status",
  "online_count",
] as const;
const READ_ONLY = [
  "get_room",
  "list_members",
  "list_messages",
  "search_messages",
  "mark_as_read",
  "mark_as_unread",
  "list_readers",
  "sync",
] as const;
const MANAGE = ["update_room", "delete_room", "add_member", "update_member", "remove_member"] as const;
const MEMBERSHIP = ["join_room", "leave_room"] as const;
const OF_MESSAGES = ["send_message", "update_message", "delete_message", "typing"] as const;

const roomReason = (reason: Reason): NotApplicable[] => [
  { reason, why: "names no room", commands: OF_NO_ROOM },
  { reason, why: "answers such rooms in `gone`, or leaves them out", commands: ["sync"] },
];

export const NOT_APPLICABLE: readonly NotApplicable[] = [
  ...roomReason("not a member"),
  { reason: "not a member", why: "a room one may know of can be looked at", commands: ["get_room"] },
  { reason: "not a member", why: "is how one becomes a member", commands: ["join_room"] },
  ...roomReason("unknown to you"),
  ...roomReason("gone room"),
  ...roomReason("banned"),
  ...roomReason("lost course"),

  { reason: "absent", why: "names nothing that could be absent", commands: OF_NO_USER },
  { reason: "absent", why: "answers such rooms in `gone`", commands: ["sync"] },
  { reason: "absent", why: "leaves out whom nobody knows", commands: ["watch_presence"] },
  { reason: "absent", why: "nothing is blocked afterwards, whoever it was", commands: ["unblock_user"] },

  {
    reason: "blocked",
    why: "blocks stop writing to each other, nothing else",
    commands: [...READ_ONLY, "delete_message"],
  },
  { reason: "blocked", why: "a direct room has no members to manage", commands: [...MANAGE, ...MEMBERSHIP] },
  {
    reason: "blocked",
    why: "concerns no direct message that is sent",
    commands: [...OF_NO_USER, ...OF_FILES, "list_direct_messages", "block_user", "unblock_user"],
  },
  { reason: "blocked", why: "shows them as offline", commands: ["user_status", "watch_presence"] },

  { reason: "muted", why: "names no room", commands: OF_NO_ROOM },
  { reason: "muted", why: "whoever is muted may read", commands: READ_ONLY },
  { reason: "muted", why: "whoever is muted may take back", commands: ["delete_message"] },
  { reason: "muted", why: "is a matter of the role", commands: MANAGE },
  { reason: "muted", why: "whoever is muted may come and go", commands: MEMBERSHIP },

  {
    reason: "wrong role",
    why: "names no room",
    commands: OF_NO_ROOM.filter((name) => name !== "create_room"),
  },
  {
    reason: "wrong role",
    why: "every role may",
    commands: [...READ_ONLY.filter((name) => name !== "list_members")],
  },
  { reason: "wrong role", why: "every role may", commands: [...MEMBERSHIP, "send_message", "typing"] },

  { reason: "direct room", why: "names no room", commands: OF_NO_ROOM },
  {
    reason: "direct room",
    why: "works in a direct room",
    commands: [...READ_ONLY, "join_room", ...OF_MESSAGES],
  },

  {
    reason: "present state",
    why: "nothing stands in its way",
    commands: [...OF_NO_ROOM, ...READ_ONLY, ...OF_MESSAGES],
  },
  { reason: "present state", why: "a room may go whoever is in it", commands: ["delete_room"] },

  {
    reason: "missing field",
    why: "no field is needed",
    commands: ["list_rooms", "discover_rooms", "list_conversations"],
  },
  { reason: "missing field", why: "no field is needed", commands: ["list_blocked", "sync"] },
  ...(["missing field", "bad field", "too long"] as const).map((reason): NotApplicable => ({
    reason,
    why: "has no field",
    commands: ["unread_counts", "online_count"],
  })),
  { reason: "missing field", why: "either field will do: see bad field", commands: ["update_status"] },
  { reason: "bad field", why: "has no field", commands: ["list_blocked"] },
  { reason: "too long", why: "has no field", commands: ["list_blocked"] },
  { reason: "too long", why: "its bound is a number: see bad field", commands: ["sync"] },
];
