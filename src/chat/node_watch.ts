/**
 * The node watch: says by heartbeats that this node lives, and looks who else does, and whether the primary is the one it
 * was. Nodes that live on one database without a bus between them leave their users unheard for seconds: an error, and no
 * node of them is ready.
 */
import { describeFault, type Log } from "../log.ts";
import type { Database } from "../store/database.ts";
import { beat, leave, type NodeRow } from "../store/nodes.ts";
import { PrimaryLife } from "../store/primary_life.ts";

const BEAT_MS = 5_000;
const ALIVE_MS = 15_000;

export class NodeWatch implements AsyncDisposable {
  readonly #db: Database;
  readonly #node: NodeRow;
  readonly #log: Log;
  readonly #life: PrimaryLife;
  #apart: NodeRow[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #beating: Promise<void>;
  #ended = false;

  constructor(uses: { db: Database; node: NodeRow; log: Log }) {
    this.#db = uses.db;
    this.#node = uses.node;
    this.#log = uses.log;
    this.#life = new PrimaryLife(uses);
    this.#beating = this.#beat();
  }

  /** Why this node should get no clients. */
  get faults(): string[] {
    return this.#apart.length === 0 ? [] : [`${this.#apart.length} other nodes live without a shared bus`];
  }

  async #beat(): Promise<void> {
    try {
      await this.#life.look();
      const others = await beat(this.#db, this.#node, ALIVE_MS);
      const { bus } = this.#node;
      const apart = others.filter((other) => other.bus !== bus || bus === "memory");
      if (apart.length > 0 && this.#apart.length === 0) {
        this.#log.error("bus.not_shared", {
          text: "Other nodes live on this database and are not reached: give all nodes the same REDIS_URL",
          bus,
          others: apart.slice(0, 10),
        });
      }
      this.#apart = apart;
    } catch (fault) {
      this.#log.debug("node.beat_failed", describeFault(fault));
    }
    if (!this.#ended) {
      this.#timer = setTimeout(() => {
        this.#beating = this.#beat();
      }, BEAT_MS);
    }
  }

  /** At the beginning of a drain: whoever takes over is not to find this node alive. */
  async leave(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    await this.#beating;
    await leave(this.#db, this.#node.id).catch((fault) =>
      this.#log.debug("node.leave_failed", describeFault(fault))
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
  }
}
