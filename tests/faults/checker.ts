/**
 * The one judge of all rows. It holds what clients logged against what Postgres has, by seven invariants:
 * I1 what was acknowledged is stored, once. I2 a receiver's order is the room's, without a hole; what it ends with is
 * the history. I3 nothing is shown twice. I4 who is a member has everything in time. I5 what was tried again is one
 * message. I6 nodes live, within their memory, without unhandled faults. I7 nobody hears what is not theirs.
 */
import type { Sent } from "./publisher.ts";
import type { RoomLog } from "./receiver.ts";

export interface StoredMessage {
  id: string;
  roomId: string;
  seq: number;
  clientMessageId: string;
  content: string;
}

export interface Stay {
  roomId: string;
  userId: string;
  /** Undefined: is a member still. */
  leftSeq: number | undefined;
}

export interface ReceiverEvidence {
  userId: string;
  logs: readonly RoomLog[];
  strangeRooms: ReadonlySet<string>;
}

export interface NodeEvidence {
  name: string;
  isAlive: boolean;
  growthMiB: number;
  faults: readonly string[];
  /** Per room, ids in the order in which it tells the history. */
  histories: ReadonlyMap<string, readonly string[]>;
}

export interface Evidence {
  sent: readonly Sent[];
  publisherFaults: readonly string[];
  receivers: readonly ReceiverEvidence[];
  stored: readonly StoredMessage[];
  stays: readonly Stay[];
  nodes: readonly NodeEvidence[];
  /** Since the end of the fault, until every receiver had what was sent before it. */
  healMs: number;
  /** What one publisher had waiting then, at most. */
  backlog: number;
}

export interface Verdict {
  sent: number;
  acked: number;
  delivered: number;
  lost: number;
  repeated: number;
  reordered: number;
  /** Came again and were dropped by the position: no fault, but worth knowing. */
  rawRepeats: number;
  violations: string[];
}

const GROWTH_MIB_MAX = 150;
const HEAL_MS_MAX = 10_000;
/** What could not be sent during the fault comes on top of it, and no user may send faster than this. */
const SENDS_PER_SECOND_MAX = 100;

export function judge(evidence: Evidence): Verdict {
  const verdict: Verdict = {
    sent: evidence.sent.length,
    acked: 0,
    delivered: 0,
    lost: 0,
    repeated: 0,
    reordered: 0,
    rawRepeats: 0,
    violations: [],
  };
  const wrong = (invariant: string, text: string) => verdict.violations.push(`${invariant}: ${text}`);
  const inOrder = [...evidence.stored].sort((a, b) => a.seq - b.seq);
  judgeAcks(evidence, verdict, wrong);
  for (const receiver of evidence.receivers) {
    for (const roomId of receiver.strangeRooms) wrong("I7", `${receiver.userId} heard of room ${roomId}`);
    for (const log of receiver.logs) {
      const stay = evidence.stays.find(({ roomId, userId }) =>
        roomId === log.roomId && userId === receiver.userId
      );
      const own = inOrder.filter(({ roomId }) => roomId === log.roomId);
      judgeLog(receiver.userId, log, own, stay, verdict, wrong);
    }
  }
  const healMsMax = HEAL_MS_MAX + evidence.backlog / SENDS_PER_SECOND_MAX * 1_000;
  if (evidence.healMs > healMsMax) wrong("I4", `healing took ${Math.round(evidence.healMs)} ms`);
  judgeNodes(evidence, inOrder, wrong);
  return verdict;
}

type Wrong = (invariant: string, text: string) => void;

function judgeAcks({ sent, stored, publisherFaults }: Evidence, verdict: Verdict, wrong: Wrong): void {
  const byClientId = new Map<string, StoredMessage[]>();
  for (const row of stored) {
    byClientId.set(row.clientMessageId, [...byClientId.get(row.clientMessageId) ?? [], row]);
  }
  for (const { clientMessageId, ack, tries } of sent) {
    const rows = byClientId.get(clientMessageId) ?? [];
    if (rows.length > 1) {
      wrong("I5", `${clientMessageId} is stored ${rows.length} times after ${tries} tries`);
    }
    if (ack === undefined) {
      wrong("I4", `${clientMessageId} was never acknowledged, in ${tries} tries`);
      continue;
    }
    verdict.acked++;
    const [row] = rows;
    if (row === undefined) {
      verdict.lost++;
      wrong("I1", `${clientMessageId} was acknowledged and is not stored`);
    } else if (row.id !== ack.id || row.seq !== ack.seq) {
      wrong(
        "I1",
        `${clientMessageId} was acknowledged as ${ack.id} ${ack.seq}, stored as ${row.id} ${row.seq}`,
      );
    }
  }
  for (const fault of publisherFaults) wrong("I1", fault);
}

function judgeLog(
  who: string,
  log: RoomLog,
  stored: readonly StoredMessage[],
  stay: Stay | undefined,
  verdict: Verdict,
  wrong: Wrong,
): void {
  const where = `${who} in ${log.roomId}`;
  if (stay === undefined) return wrong("I7", `${where}: was never a member`);
  const leftSeq = stay.leftSeq ?? Infinity;
  judgeSteps(where, log, leftSeq, wrong);
  let last = 0;
  for (const { id, seq } of log.shown) {
    if (seq < last) {
      verdict.reordered++;
      wrong("I2", `${where}: ${seq} (${id}) was shown after ${last}`);
    }
    if (seq > leftSeq) wrong("I7", `${where}: heard ${seq}, and had left at ${leftSeq}`);
    last = Math.max(last, seq);
  }
  verdict.delivered += log.shown.length;
  verdict.repeated += log.repeats;
  verdict.rawRepeats += log.rawRepeats;
  if (log.repeats > 0) wrong("I3", `${where}: ${log.repeats} messages were shown again`);
  if (stay.leftSeq !== undefined) {
    if (log.goneAt === undefined) wrong("I7", `${where}: was never told that it was removed`);
    return;
  }
  const missing = stored.filter(({ id }) => !log.seen.has(id));
  verdict.lost += missing.length;
  for (const { seq, clientMessageId } of missing.slice(0, 3)) {
    wrong("I4", `${where}: never got ${seq} (${clientMessageId}), ${missing.length} in all`);
  }
  const isSame = log.state.size === stored.length &&
    stored.every(({ id, content }) => log.state.get(id) === content);
  if (!isSame) wrong("I2", `${where}: ended with another state than the history`);
}

/** Every position is covered by a step that joins on to the one before, or by an honest reset. */
function judgeSteps(where: string, { steps }: RoomLog, leftSeq: number, wrong: Wrong): void {
  let position = -1;
  for (const { by, after, seq, event } of steps) {
    if (seq > leftSeq) wrong("I7", `${where}: ${event} ${seq} after it had left at ${leftSeq}`);
    if (by !== "reset" && after > position) wrong("I2", `${where}: a hole from ${position} to ${after}`);
    if (seq < position) wrong("I2", `${where}: went back from ${position} to ${seq}`);
    position = seq;
  }
}

function judgeNodes({ nodes }: Evidence, inOrder: readonly StoredMessage[], wrong: Wrong): void {
  for (const { name, isAlive, growthMiB, faults, histories } of nodes) {
    if (!isAlive) wrong("I6", `${name} is not alive`);
    if (growthMiB > GROWTH_MIB_MAX) wrong("I6", `${name} grew by ${Math.round(growthMiB)} MiB`);
    for (const fault of faults) wrong("I6", `${name}: ${fault}`);
    for (const [roomId, ids] of histories) {
      const own = inOrder.filter((row) => row.roomId === roomId).map(({ id }) => id);
      if (ids.join() !== own.join()) {
        wrong("I2", `${name} tells another history of ${roomId} than Postgres has`);
      }
    }
  }
}
