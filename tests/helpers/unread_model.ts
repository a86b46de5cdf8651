/**
 * What is unread, counted anew from everything that was ever said: rooms, members and messages as a test knows them from
 * the answers it got, in its own words. Who may do what is known here too, so that a test asks only what is allowed.
 */
export const CAP = 100;

interface Said {
  id: string;
  seq: number;
  by: string;
  isDeleted: boolean;
  names: ReadonlySet<string>;
}

interface Place {
  /** As others see it. */
  readUpTo: number;
  /** What is counted lies after it. */
  after: number;
}

export class ModelRoom {
  seq = 0;
  readonly messages: Said[] = [];
  readonly members = new Map<string, Place>();

  constructor(readonly id: string, readonly owner: string | undefined) {}

  join(user: string): void {
    this.seq++;
    this.members.set(user, { readUpTo: this.seq, after: this.seq });
  }

  leave(user: string): void {
    this.seq++;
    this.members.delete(user);
  }

  say(by: string, message: { id: string; seq: number }, names: Iterable<string>): void {
    this.seq = Math.max(this.seq, message.seq);
    this.messages.push({ ...message, by, isDeleted: false, names: this.#membersOf(names) });
    const place = this.#place(by);
    if (message.seq > place.readUpTo) Object.assign(place, { readUpTo: message.seq, after: message.seq });
  }

  edit(said: Said, names: Iterable<string>): void {
    this.seq++;
    said.names = this.#membersOf(names);
  }

  delete(said: Said): void {
    if (said.isDeleted) return;
    this.seq++;
    said.isDeleted = true;
  }

  read(user: string, { seq }: Said): void {
    const place = this.#place(user);
    place.after = Math.max(place.after, seq);
    place.readUpTo = Math.max(place.readUpTo, seq);
  }

  unread(user: string, { seq }: Said): void {
    const place = this.#place(user);
    place.after = Math.min(place.readUpTo, seq - 1);
  }

  /** As the wire tells it. */
  unreadOf(user: string): { count: number; mentions: number; afterSeq: number; seq: number } {
    const { after } = this.#place(user);
    const left = this.messages.filter(({ seq, by, isDeleted }) => seq > after && by !== user && !isDeleted);
    return {
      count: Math.min(CAP, left.length),
      mentions: Math.min(CAP, left.filter(({ names }) => names.has(user)).length),
      afterSeq: after,
      seq: this.seq,
    };
  }

  #place(user: string): Place {
    const place = this.members.get(user);
    if (place === undefined) throw new Error(`${user} is no member of ${this.id}`);
    return place;
  }

  #membersOf(names: Iterable<string>): ReadonlySet<string> {
    return new Set([...names].filter((name) => this.members.has(name)));
  }
}
