import { strictEqual } from "node:assert/strict";
import type postgres from "postgres";
import type { UserId } from "../../src/protocol/ids.ts";
import { retain } from "../../src/store/rooms.ts";
import { draftOf, idOf, send, TestStore, toUser, until } from "./fixture.ts";

/** By UTF-16, as script sorts, the first; by code point, as Postgres does, the second: a pair that tells them apart. */
const LOW_IN_SCRIPT = "\u{1f600}" as UserId;
const LOW_IN_POSTGRES = "\uff5e" as UserId;

type Tx = postgres.TransactionSql<{ bigint: number }>;

const CHANGES = ["edit_message_v1", "delete_message_v1", "retain_v1", "append_messages_v1"] as const;

/** Does the change of a direct message that `messageId` names; settles when it is committed. */
async function change(
  store: TestStore,
  name: typeof CHANGES[number],
  messageId: string,
  sender: UserId,
): Promise<void> {
  if (name === "append_messages_v1") {
    const recipient = sender === LOW_IN_SCRIPT ? LOW_IN_POSTGRES : LOW_IN_SCRIPT;
    return void await send(store.node, draftOf(toUser(sender, recipient), sender, crypto.randomUUID())).then(
      idOf,
    );
  }
  if (name === "retain_v1") return void await retain(store.node.db, new Date(Date.now() + 60_000), 1);
  const ask = { messageId, actorId: sender, isAdmin: false, minRank: 2, content: "edited" };
  strictEqual((await store.write(name, ask)).code, null);
}

async function waits(sql: postgres.Sql, name: string): Promise<boolean> {
  const [row] = await sql<{ count: number }[]>`
    select count(*) as count from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and query like ${`%${name}%`}`;
  return (row?.count ?? 0) > 0;
}

/**
 * Holds what the change needs first, waits until it waits for that, and asks for what it needs later: who has been
 * given the first of two things in their order must be able to have the second.
 */
async function checkOrder(
  store: TestStore,
  name: typeof CHANGES[number],
  first: (tx: Tx) => PromiseLike<unknown>,
  second: (tx: Tx) => PromiseLike<unknown>,
): Promise<void> {
  const sender = LOW_IN_SCRIPT;
  const messageId = idOf(
    await send(store.node, draftOf(toUser(sender, LOW_IN_POSTGRES), sender, crypto.randomUUID())),
  );
  let changed: Promise<void> | undefined;
  await store.sql.begin(async (tx) => {
    await first(tx);
    changed = change(store, name, messageId, sender);
    changed.catch(() => {}); // told below
    await until(() => waits(store.sql, name), `${name} to wait`);
    await tx`set local lock_timeout = '500ms'`;
    await second(tx);
  });
  await changed;
}

Deno.test("writes to direct rooms lock users in the database's order, then memberships, then messages", async (t) => {
  await using store = await TestStore.open({ lanes: 1 });
  await store.users(LOW_IN_SCRIPT, LOW_IN_POSTGRES);
  const user = (id: UserId) => (tx: Tx) => tx`select from users where id = ${id} for no key update`;
  const membership = (tx: Tx) =>
    tx`select from memberships where user_id = ${LOW_IN_POSTGRES} for no key update`;
  const message = (tx: Tx) => tx`update messages set read_at = now()`;
  for (const name of CHANGES) {
    await t.step(
      `${name}: one user, then the other`,
      () => checkOrder(store, name, user(LOW_IN_POSTGRES), user(LOW_IN_SCRIPT)),
    );
    await t.step(
      `${name}: users, then memberships`,
      () => checkOrder(store, name, user(LOW_IN_SCRIPT), membership),
    );
    await t.step(`${name}: memberships, then messages`, () => checkOrder(store, name, membership, message));
  }
});
