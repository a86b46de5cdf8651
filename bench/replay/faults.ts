/** Faults: the one table of what a replay can find wrong, and the list that gathers them. Any one fails it. */

export const faultKinds = {
  missed: "a listener did not get a message that it should have",
  repeated: "a listener got a message, or a place in the sequence, twice",
  disordered: "a listener got something later than what follows it",
  hole: "a push began beyond what its listener knew, or the stream ended too early",
  foreign: "a listener got what lies outside its membership, or is not in history",
  different: "a message was not the same everywhere: ack, push, catch-up, history",
  lost: "a message was acknowledged, but is not in history",
  doubled: "a message stands in history more than once",
  stranger: "history holds a message that nobody sent",
  sender_order: "one sender's messages stand in another order than they were sent",
  history: "history cannot be read, or its pages do not fit together",
  search: "search and history disagree",
  refused: "the server refused, or did not answer, what it should have done",
  disconnected: "the server closed a connection",
} as const;

export type FaultKind = keyof typeof faultKinds;

export interface Fault {
  kind: FaultKind;
  text: string;
}

const DETAILS_PER_KIND = 10;

/** Counts every fault, and keeps the first few of each kind to show. */
export class FaultList {
  readonly counts: Partial<Record<FaultKind, number>> = {};
  readonly details: Fault[] = [];

  add(kind: FaultKind, text: string): void {
    const count = (this.counts[kind] ?? 0) + 1;
    this.counts[kind] = count;
    if (count <= DETAILS_PER_KIND) this.details.push({ kind, text });
  }

  addAll(faults: readonly Fault[]): void {
    for (const { kind, text } of faults) this.add(kind, text);
  }

  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }
}
