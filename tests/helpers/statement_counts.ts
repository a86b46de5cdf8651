/**
 * What Postgres was asked, counted by itself (pg_stat_statements): clients' own statements in one database, without the
 * counting. What functions do inside is not counted.
 */
import type postgres from "postgres";

/** Of the server, from its start. */
export const COUNTING = { shared_preload_libraries: "pg_stat_statements" };

export interface CountedStatement {
  query: string;
  calls: number;
  /** In Postgres, all calls together. */
  ms: number;
}

export class StatementCounts {
  readonly #sql: postgres.Sql;

  private constructor(sql: postgres.Sql) {
    this.#sql = sql;
  }

  /** Of the database that `sql` is connected to. */
  static async of(sql: postgres.Sql): Promise<StatementCounts> {
    await sql`create extension pg_stat_statements`;
    return new StatementCounts(sql);
  }

  async read(): Promise<CountedStatement[]> {
    return await this.#sql<CountedStatement[]>`
      select query, calls::int as calls, total_exec_time as ms from pg_stat_statements s
      join pg_database d on d.oid = s.dbid
      where d.datname = current_database() and s.toplevel and query not like '%pg_stat_statements%'`;
  }

  /** Since the last time. */
  async take(): Promise<CountedStatement[]> {
    const counted = await this.read();
    await this.#sql`select pg_stat_statements_reset()`;
    return counted;
  }
}

/** A node's own, by the clock and whatever its users do: its heartbeat, and the look at which life the primary has. */
export const isOfTheClock = ({ query }: CountedStatement): boolean => /nodes|pg_walfile_name/.test(query);

export const callsOf = (counted: CountedStatement[]): number =>
  counted.reduce((sum, { calls }) => sum + calls, 0);
