/** The clients' process: see bench/hostile/child.ts. */
import { Child as Base } from "../hostile/child.ts";

export const Child = {
  start: <Answer>(module: string, ask: unknown): Promise<Base<Answer>> =>
    Base.start<Answer>(new URL(module, import.meta.url).href, ask),
};
