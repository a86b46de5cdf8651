/**
 * Presence leases over Redis. A node's word on its users stands in hashes without an end; what ends is the node's own
 * place in a sorted set, by Redis' clock. Whoever finds a node whose place has ended takes its word back, in pieces.
 * While Redis is away a node knows its own users only; when it is back, and after everything in it was lost, each node
 * says again what it has to say.
 */
import { describeFault, type Log } from "../log.ts";
import type { UserId } from "../protocol/ids.ts";
import {
  type LeaseState,
  type PresenceLeases,
  type Shift,
  together,
  type UserShift,
} from "./presence_leases.ts";
import type { RedisLink } from "./redis_link.ts";
import { type RedisScript, toScript } from "./redis_session.ts";

export const LEASE_MS = 10_000;
const RENEW_MS = 3_000;
const USERS_AT_ONCE = 200;
/** All keys have one tag: scripts touch several, and in a cluster they have to be on one node. */
const TAG = "{presence}";

/** One node's word on some users: KEYS nodes' hash, the seen; ARGV node, prefix of users, then user, state, … ("": none). */
const SAY = `
local answer = {}
for i = 3, #ARGV, 2 do
  local user, state, key = ARGV[i], ARGV[i + 1], ARGV[2] .. ARGV[i]
  answer[#answer + 1] = table.concat(redis.call('HVALS', key), ' ')
  if state == '' then
    redis.call('HDEL', key, ARGV[1])
    redis.call('HDEL', KEYS[1], user)
  else
    redis.call('HSET', key, ARGV[1], state)
    redis.call('HSET', KEYS[1], user, state)
  end
  local states = redis.call('HVALS', key)
  answer[#answer + 1] = table.concat(states, ' ')
  local seen = #states > 0
  for _, each in ipairs(states) do if each == 'invisible' then seen = false end end
  redis.call(seen and 'SADD' or 'SREM', KEYS[2], user)
end
return answer`;

/**
 * Goes on: KEYS nodes, own hash; ARGV node, lease in ms. Answers how many users Redis knows of this node, -1 if it does
 * not know the node; and how many nodes are dead.
 */
const RENEW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return { known and redis.call('HLEN', KEYS[2]) or -1, redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. now) }`;

/**
 * Takes back the word of one dead node: KEYS nodes, seen; ARGV prefixes of nodes and users, how many users. Answers
 * whether there is more to do, then of each user what was said before and after.
 */
const REAP = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now, 'LIMIT', 0, 1)[1]
if not dead then return { '' } end
local hash = ARGV[1] .. dead
local users = redis.call('HRANDFIELD', hash, ARGV[3])
local answer = { 'more' }
for _, user in ipairs(users) do
  local key = ARGV[2] .. user
  answer[#answer + 1] = user
  answer[#answer + 1] = table.concat(redis.call('HVALS', key), ' ')
  redis.call('HDEL', key, dead)
  redis.call('HDEL', hash, user)
  local states = redis.call('HVALS', key)
  local seen = #states > 0
  for _, each in ipairs(states) do if each == 'invisible' then seen = false end end
  answer[#answer + 1] = table.concat(states, ' ')
  if not seen then redis.call('SREM', KEYS[2], user) end
end
if #users == 0 then redis.call('ZREM', KEYS[1], dead) end
return answer`;

const READ = `
local answer = {}
for i = 2, #ARGV do answer[#answer + 1] = table.concat(redis.call('HVALS', ARGV[1] .. ARGV[i]), ' ') end
return answer`;

const COUNT = `return redis.call('SCARD', KEYS[1])`;

const OWN = `return redis.call('HKEYS', KEYS[1])`;

type Scripts = Record<"say" | "renew" | "reap" | "read" | "count" | "own", RedisScript>;

export class RedisLeases implements PresenceLeases {
  readonly #link: RedisLink;
  readonly #nodeId: string;
  readonly #log: Log;
  readonly #scripts: Scripts;
  readonly #keys: { nodes: string; seen: string; node: string; user: string; own: string };
  /** This node's own word. */
  readonly #said = new Map<UserId, LeaseState>();
  /** Users of whom Redis did not hear the last word. */
  readonly #unheard = new Set<UserId>();
  #onReaped: (shifts: UserShift[]) => void = () => {};
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewing: Promise<void> = Promise.resolve();
  #ended = false;

  private constructor(
    uses: { link: RedisLink; nodeId: string; log: Log },
    scripts: Scripts,
  ) {
    this.#link = uses.link;
    this.#nodeId = uses.nodeId;
    this.#log = uses.log;
    this.#scripts = scripts;
    const key = (name: string) => uses.link.channelOf(TAG + name);
    this.#keys = {
      nodes: key("nodes"),
      seen: key("seen"),
      node: key("node:"),
      user: key("user:"),
      own: key(`node:${uses.nodeId}`),
    };
    this.#link.onUp(() => {
      if (!this.#ended) setTimeout(() => this.#renewNow(), 0);
    });
    this.#timer = setTimeout(() => this.#renewNow(), RENEW_MS);
  }

  /** The link has not started yet. */
  static async make(uses: { link: RedisLink; nodeId: string; log: Log }): Promise<RedisLeases> {
    const [say, renew, reap, read, count, own] = await Promise.all(
      [SAY, RENEW, REAP, READ, COUNT, OWN].map(toScript),
    ) as [
      RedisScript,
      RedisScript,
      RedisScript,
      RedisScript,
      RedisScript,
      RedisScript,
    ];
    return new RedisLeases(uses, { say, renew, reap, read, count, own });
  }

  async set(userId: UserId, state: LeaseState | undefined): Promise<Shift> {
    const own = { before: this.#said.get(userId), after: state };
    if (state === undefined) this.#said.delete(userId);
    else this.#said.set(userId, state);
    try {
      const [before = "", after = ""] = await this.#say([[userId, state ?? ""]]);
      return { before: togetherOf(before), after: togetherOf(after) };
    } catch {
      this.#unheard.add(userId);
      return own;
    }
  }

  async statesOf(userIds: readonly UserId[]): Promise<Map<UserId, LeaseState>> {
    const found = new Map<UserId, LeaseState>();
    let told: string[];
    try {
      told = await this.#run("read", [this.#keys.user], [this.#keys.user, ...userIds]);
    } catch {
      told = userIds.map((userId) => this.#said.get(userId) ?? "");
    }
    userIds.forEach((userId, i) => {
      const state = togetherOf(told[i] ?? "");
      if (state !== undefined) found.set(userId, state);
    });
    return found;
  }

  async count(): Promise<number> {
    try {
      return Number(await this.#link.run(this.#scripts.count, [this.#keys.seen], []));
    } catch {
      return [...this.#said.values()].filter((state) => state !== "invisible").length;
    }
  }

  onReaped(listener: (shifts: UserShift[]) => void): void {
    this.#onReaped = listener;
  }

  #say(words: [UserId, string][]): Promise<string[]> {
    return this.#run("say", [this.#keys.own, this.#keys.seen], [
      this.#nodeId,
      this.#keys.user,
      ...words.flat(),
    ]);
  }

  async #run(name: "say" | "reap" | "read" | "own", keys: string[], args: string[]): Promise<string[]> {
    return await this.#link.run(this.#scripts[name], keys, args) as string[];
  }

  #renewNow(): void {
    clearTimeout(this.#timer);
    if (this.#ended) return;
    this.#renewing = this.#renew().catch((fault) => this.#log.debug("leases.unrenewed", describeFault(fault)))
      .finally(() => {
        if (!this.#ended) this.#timer = setTimeout(() => this.#renewNow(), RENEW_MS);
      });
  }

  async #renew(): Promise<void> {
    const { nodes, own } = this.#keys;
    const [known, dead = 0] = await this.#link.run(
      this.#scripts.renew,
      [nodes, own],
      [this.#nodeId, String(LEASE_MS)],
    ) as number[];
    const unheard = [...this.#unheard];
    this.#unheard.clear();
    // Redis has forgotten, or somebody took us for dead
    const isAmiss = known !== this.#said.size;
    await this.#sayAgain(isAmiss ? [...this.#said.keys(), ...await this.#run("own", [own], [])] : unheard);
    for (let more = dead > 0; more && !this.#ended;) more = await this.#reap();
  }

  async #sayAgain(userIds: readonly string[]): Promise<void> {
    const users = [...new Set(userIds)] as UserId[];
    for (let from = 0; from < users.length; from += USERS_AT_ONCE) {
      const piece = users.slice(from, from + USERS_AT_ONCE);
      await this.#say(piece.map((userId) => [userId, this.#said.get(userId) ?? ""]));
    }
  }

  async #reap(): Promise<boolean> {
    const [more, ...told] = await this.#run("reap", [this.#keys.nodes, this.#keys.seen], [
      this.#keys.node,
      this.#keys.user,
      String(USERS_AT_ONCE),
    ]);
    const shifts: UserShift[] = [];
    for (let i = 0; i + 2 < told.length; i += 3) {
      const [userId = "", before = "", after = ""] = told.slice(i, i + 3);
      const shift = { userId: userId as UserId, before: togetherOf(before), after: togetherOf(after) };
      if (shift.before !== shift.after) shifts.push(shift);
    }
    if (shifts.length > 0) this.#onReaped(shifts);
    return more === "more";
  }

  /** What this node said stays until its lease ends: its users are most likely on their way to another one. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    await this.#renewing;
    clearTimeout(this.#timer);
  }
}

const togetherOf = (states: string): LeaseState | undefined =>
  together(states.split(" ").filter((state) => state !== "") as LeaseState[]);
