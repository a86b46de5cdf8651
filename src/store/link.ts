/**
 * A link: one postgres.js client, replaced when it has fallen silent. Where packets vanish without a word, TCP
 * takes a quarter of an hour to notice, and postgres.js has no deadline: until then every call would hang.
 * What was under way is rejected as unreachable; whether to try it again is decided by the callers.
 */
import { Socket } from "node:net";
import postgres from "postgres";

export type Sql = postgres.Sql<{ bigint: number }>;

export interface Way {
  url: string;
  prepare: boolean;
  timeoutMs: number;
}

/** What postgres.js knows of where it connects, beyond its types. */
interface Target {
  host: string[];
  port: number[];
  path: string | false;
}

/**
 * A socket on its way. postgres.js leaves Nagle's algorithm on: a statement behind another would wait until the first one
 * has arrived, from afar a whole time there and back.
 */
function promptSocket({ host: [host = ""], port: [port = 5432], path }: Target): Socket {
  const socket = new Socket();
  socket.once("connect", () => socket.setNoDelay(true));
  if (path) return socket.connect(path);
  return Object.assign(socket.connect(port, host), { host, port }); // the name is what TLS asks for
}

/** A client whose connections open when they are needed, and as often as that; `own`: what is not as with the others. */
export function openSql({ url, prepare, timeoutMs }: Way, own: Readonly<Record<string, number>>): Sql {
  return postgres(url, {
    prepare,
    connect_timeout: Math.max(1, Math.ceil(timeoutMs / 1000)),
    backoff: (attempt: number) => Math.min(0.05 * 2 ** attempt, 2),
    fetch_types: false,
    onnotice: () => {},
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
    max_lifetime: 0, // a send would wait for a new connection, from afar for five round trips
    connection: { application_name: "scroll-chat" },
    socket: promptSocket,
    ...own,
  } as postgres.Options<{ bigint: postgres.PostgresType<number> }>);
}

/** A call that has waited this many times the limit ends its client even if other calls were answered. */
const PATIENCE = 3;

export class Link {
  readonly #open: () => Sql;
  readonly #silenceMs: number;
  readonly #onSilence: () => void;
  #sql: Sql;
  #heardAt = 0;

  constructor(uses: { open: () => Sql; silenceMs: number; onSilence: () => void }) {
    this.#open = uses.open;
    this.#silenceMs = uses.silenceMs;
    this.#onSilence = uses.onSilence;
    this.#sql = uses.open();
  }

  async call<T>(query: (sql: Sql) => PromiseLike<T>): Promise<T> {
    const sql = this.#sql;
    const began = performance.now();
    let timer = setTimeout(() => {
      if (this.#heardAt < began) return this.#replace(sql);
      timer = setTimeout(() => this.#replace(sql), this.#silenceMs * (PATIENCE - 1));
    }, this.#silenceMs);
    try {
      return await query(sql);
    } finally {
      clearTimeout(timer);
      this.#heardAt = performance.now();
    }
  }

  #replace(silent: Sql): void {
    if (silent !== this.#sql) return;
    this.#sql = this.#open();
    this.#onSilence();
    void silent.end({ timeout: 0 });
  }

  end(): Promise<void> {
    return this.#sql.end({ timeout: 2 });
  }
}
