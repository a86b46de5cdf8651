/** Roles at every door: who outranks whom, handing a room over, and the platform's admins. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { MEMBER_ROLES, type MemberRole } from "../../src/protocol/models.ts";
import { codeOf, type Json } from "../helpers/doors.ts";
import { Refused } from "../helpers/test_socket.ts";
import { atEveryDoor, makeRoom, people, signedIn } from "../suites/door_suite.ts";

const ACTS = ["mute", "ban", "remove", ...MEMBER_ROLES] as const;
type Act = (typeof ACTS)[number];

/** Written out, so that the rule itself is not tested against a copy of itself. Left out: nothing is allowed. */
const MAY: Record<MemberRole, Partial<Record<MemberRole, readonly Act[]>>> = {
  OWNER: {
    OWNER: ["mute", "ban", "remove", "OWNER", "ADMIN", "MODERATOR", "MEMBER"],
    ADMIN: ["mute", "ban", "remove", "OWNER", "ADMIN", "MODERATOR", "MEMBER"],
    MODERATOR: ["mute", "ban", "remove", "OWNER", "ADMIN", "MODERATOR", "MEMBER"],
    MEMBER: ["mute", "ban", "remove", "OWNER", "ADMIN", "MODERATOR", "MEMBER"],
  },
  ADMIN: {
    MODERATOR: ["mute", "ban", "remove", "MODERATOR", "MEMBER"],
    MEMBER: ["mute", "ban", "remove", "MODERATOR", "MEMBER"],
  },
  MODERATOR: {
    MEMBER: ["mute", "ban", "remove"],
  },
  MEMBER: {},
};

atEveryDoor(
  "update_member and remove_member let each role act on those below, an owner on all",
  async (door) => {
    const [root] = [await signedIn(door, "root", { role: "admin" })];
    const [ada] = await people(door, "ada");
    const roomId = await makeRoom(ada);
    const actors = new Map(
      await Promise.all(MEMBER_ROLES.map(async (role) => {
        const actor = await signedIn(door, `the ${role}`);
        await root.call("add_member", { roomId, userId: actor.userId, role });
        return [role, actor] as const;
      })),
    );
    const allowed: Record<string, Record<string, Act[]>> = {};
    for (const [role, actor] of actors) {
      const row: Record<string, Act[]> = allowed[role] = {};
      for (const target of MEMBER_ROLES) {
        for (const act of ACTS) {
          const userId = `${target} whom the ${role} would ${act}`;
          await signedIn(door, userId);
          await root.call("add_member", { roomId, userId, role: target });
          const code = await outcomeOf(
            act === "remove"
              ? actor.call("remove_member", { roomId, userId })
              : actor.call("update_member", { roomId, userId, ...patchOf(act) }),
          );
          if (code === "done") (row[target] ??= []).push(act);
          else strictEqual(code, "forbidden", userId);
        }
      }
    }
    deepStrictEqual(allowed, MAY);
  },
);

function patchOf(act: Exclude<Act, "remove">): Json {
  return act === "mute" ? { isMuted: true } : act === "ban" ? { isBlocked: true } : { role: act };
}

async function outcomeOf(call: Promise<Json>): Promise<string> {
  try {
    await call;
    return "done";
  } catch (fault) {
    if (fault instanceof Refused) return fault.code;
    throw fault;
  }
}

atEveryDoor(
  "the last owner cannot leave, step down or be removed before the room is handed over",
  async (door) => {
    const [ada, bob] = await people(door, "ada", "bob");
    const roomId = await makeRoom(ada, ["bob"]);
    const ear = await door.ear("bob");
    await ear.call("join_room", { roomId });
    const stuck = () =>
      Promise.all([
        codeOf(ada.call("leave_room", { roomId, membership: true })),
        codeOf(ada.call("update_member", { roomId, userId: "ada", role: "MEMBER" })),
        codeOf(ada.call("remove_member", { roomId, userId: "ada" })),
      ]);
    deepStrictEqual(await stuck(), Array(3).fill("last_owner"));
    await ada.call("update_member", { roomId, userId: "bob", role: "OWNER" });
    strictEqual((await ear.next("membership_updated")).member.role, "OWNER");
    await ada.call("update_member", { roomId, userId: "ada", role: "MODERATOR" });
    strictEqual(
      (await ear.next("member_updated", ({ userId }) => userId === "ada")).member.role,
      "MODERATOR",
    );
    strictEqual(await codeOf(bob.call("leave_room", { roomId, membership: true })), "last_owner");
    strictEqual(await codeOf(ada.call("delete_room", { roomId })), "forbidden");
    await ada.call("leave_room", { roomId, membership: true });
    await bob.call("delete_room", { roomId });
  },
);

atEveryDoor("two owners who leave at once leave one behind", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob", "cyd");
  for (let round = 0; round < 5; round++) {
    const roomId = await makeRoom(ada, [["bob", "OWNER"], "cyd"]);
    const outcomes = await Promise.all(
      [ada, bob].map((each) => outcomeOf(each.call("leave_room", { roomId, membership: true }))),
    );
    deepStrictEqual(outcomes.sort(), ["done", "last_owner"]);
  }
});

atEveryDoor("every role may step down by itself, none may rise", async (door) => {
  const [ada, bob] = await people(door, "ada", "bob");
  const roomId = await makeRoom(ada, [["bob", "ADMIN"]]);
  const become = (role: MemberRole) => bob.call("update_member", { roomId, userId: "bob", role });
  strictEqual(await codeOf(become("OWNER")), "forbidden");
  strictEqual((await become("MODERATOR")).member.role, "MODERATOR");
  strictEqual(await codeOf(become("ADMIN")), "forbidden");
  strictEqual((await become("MEMBER")).member.role, "MEMBER");
  strictEqual(await codeOf(become("MODERATOR")), "forbidden");
});

atEveryDoor(
  "a platform admin manages rooms without being a member, and reads them as a member only",
  async (door) => {
    const [ada, bob] = await people(door, "ada", "bob");
    const root = await signedIn(door, "root", { role: "admin" });
    const roomId = await makeRoom(ada, ["bob"], { type: "PRIVATE" });
    const { message } = await bob.call("send_message", { roomId, content: "unkind" });
    strictEqual((await root.call("get_room", { roomId })).room.member, null);
    strictEqual((await root.call("list_members", { roomId })).members.length, 2);
    strictEqual(
      (await root.call("update_member", { roomId, userId: "ada", isMuted: true })).member.isMuted,
      true,
    );
    strictEqual((await root.call("delete_message", { messageId: message.id })).message.isDeleted, true);
    strictEqual((await root.call("update_room", { roomId, name: "renamed" })).room.name, "renamed");
    for (const command of ["list_messages", "send_message", "search_messages"]) {
      const input = {
        roomId,
        ...(command === "send_message" ? { content: "hi" } : {}),
        ...(command === "search_messages" ? { query: "a" } : {}),
      };
      strictEqual(await codeOf(root.call(command, input)), "forbidden", command);
    }
    await root.call("join_room", { roomId });
    strictEqual((await root.call("list_messages", { roomId })).messages.length, 1);
    await root.call("delete_room", { roomId });
    strictEqual(await codeOf(ada.call("get_room", { roomId })), "not_found");
  },
);
