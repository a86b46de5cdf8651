/** The environment as text, read into typed values; faults are gathered, to be told all at once. */

export type Environment = (name: string) => string | undefined;

/** Reads typed values and gathers faults; an empty variable counts as not set. */
export class EnvironmentReader {
  readonly #faults: string[] = [];
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  fault(name: string, text: string): void {
    this.#faults.push(`${name} ${text}`);
  }

  throwIfFaulty(): void {
    if (this.#faults.length > 0) throw new TypeError(`Bad environment:\n  ${this.#faults.join("\n  ")}`);
  }

  optional(name: string): string | undefined {
    const value = this.#env(name)?.trim();
    return value === "" ? undefined : value;
  }

  text(name: string, fallback: string): string {
    return this.optional(name) ?? fallback;
  }

  integer(name: string, fallback: number, min: number, max: number): number {
    const text = this.optional(name);
    if (text === undefined) return fallback;
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    this.fault(name, `must be a whole number from ${min} to ${max}, not "${text}"`);
    return fallback;
  }

  flag(name: string, fallback: boolean): boolean {
    const text = this.optional(name)?.toLowerCase();
    if (text === undefined) return fallback;
    if (text === "true" || text === "1") return true;
    if (text === "false" || text === "0") return false;
    this.fault(name, `must be true or false, not "${text}"`);
    return fallback;
  }

  list(
    name: string,
    fallback: readonly string[],
    of: { fits: (item: string) => boolean; like: string } = { fits: () => true, like: "" },
  ): readonly string[] {
    const items = this.optional(name)?.split(",").map((item) => item.trim()).filter((item) => item !== "");
    if (items === undefined || items.length === 0) return fallback;
    for (const item of items.filter((item) => !of.fits(item))) {
      this.fault(name, `must be like ${of.like}, not "${item}"`);
    }
    return items;
  }

  oneOf<T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const text = this.optional(name);
    const choice = choices.find((known) => known === text);
    if (text !== undefined && choice === undefined) this.fault(name, `must be one of ${choices.join(", ")}`);
    return choice ?? fallback;
  }

  /** The value is not repeated in a fault: a URL may hold a password. */
  url(name: string, protocols: readonly string[], fallback?: string): string | undefined {
    const text = this.optional(name) ?? fallback;
    if (text === undefined) return undefined;
    if (URL.canParse(text) && protocols.includes(new URL(text).protocol)) return text;
    this.fault(name, `must be a URL that starts with ${protocols.map((p) => `${p}//`).join(" or ")}`);
    return undefined;
  }
}
