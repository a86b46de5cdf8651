/** A store whose statements are watched: each tells the plan that it was run by, also those inside functions. */
import postgres from "postgres";
import { Database } from "../../src/store/database.ts";
import type { Sql } from "../../src/store/link.ts";
import { quietLog } from "../helpers/databases.ts";
import { linksOf } from "./fixture.ts";

/** After its sixth use a prepared statement may have a plan for whatever values: ask more often than that. */
export const ASKED = 8;

export interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  "Actual Rows"?: number;
  "Actual Loops"?: number;
  "Rows Removed by Filter"?: number;
  "Rows Removed by Index Recheck"?: number;
  Plans?: Plan[];
}

export interface Explained {
  "Query Text": string;
  Plan: Plan;
}

export class Watched implements AsyncDisposable {
  readonly db: Database;
  readonly #sql: Sql;
  #plans: Explained[] = [];

  constructor(url: string) {
    const settings = {
      session_preload_libraries: "auto_explain",
      "auto_explain.log_min_duration": "0",
      "auto_explain.log_analyze": "on",
      "auto_explain.log_timing": "off",
      "auto_explain.log_nested_statements": "on",
      "auto_explain.log_format": "json",
      "auto_explain.log_level": "notice",
    };
    this.#sql = postgres(url, {
      max: 1,
      fetch_types: false,
      types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
      connection: settings as unknown as { application_name: string },
      onnotice: ({ message }) => {
        const json = /plan:\n(\{[^]*\})$/.exec(message ?? "")?.[1];
        if (json !== undefined) this.#plans.push(JSON.parse(json));
      },
    });
    this.db = new Database({ url, poolSize: 1, appendLanes: 1, prepare: true, timeoutMs: 20_000 }, quietLog);
    for (const link of linksOf(this.db)) {
      link.call = (query) => Promise.resolve(query(this.#sql));
    }
  }

  async plansOf(ask: () => Promise<unknown>): Promise<Explained[]> {
    this.#plans = [];
    for (let i = 0; i < ASKED; i++) await ask();
    return this.#plans;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.db[Symbol.asyncDispose]();
    await this.#sql.end({ timeout: 2 });
  }
}

export function nodesOf(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}
