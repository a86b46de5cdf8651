/** What a client of tests was pushed so far, to look at and to wait on, whatever its transport. */
import { Changes } from "./deadline.ts";

// deno-lint-ignore no-explicit-any -- answers are checked against the published schemas, and here by their fields
export type Json = any;

export interface ReceivedPush {
  event: string;
  data: Json;
}

const WAIT_MS = 5_000;

export class ReceivedPushes {
  /** All so far, hello among them. */
  readonly pushes: ReceivedPush[] = [];
  readonly #changes = new Changes();
  /** Sees each as it comes. */
  onPush: (push: ReceivedPush) => void = () => {};
  /** Why it is over. */
  closed: { code: number; reason: string } | undefined;

  protected take(push: ReceivedPush): void {
    this.pushes.push(push);
    this.onPush(push);
    this.wake();
  }

  protected wake(): void {
    this.#changes.tell();
  }

  /** The first push, come or to come, that fits. */
  async next(event: string, fits: (data: Json) => boolean = () => true): Promise<Json> {
    const find = () => this.pushes.find((push) => push.event === event && fits(push.data));
    await this.until(() => find() !== undefined, `a push ${event}`);
    return find()?.data;
  }

  events(event: string): Json[] {
    return this.pushes.filter((push) => push.event === event).map((push) => push.data);
  }

  async untilClosed(): Promise<{ code: number; reason: string }> {
    await this.until(() => this.closed !== undefined, "the close");
    return this.closed ?? { code: 0, reason: "" };
  }

  async until(holds: () => boolean, what: string, waitMs = WAIT_MS): Promise<void> {
    await this.#changes.until(holds, waitMs, () => {
      const seen = this.pushes.map((push) => push.event).join(", ");
      return `${what}; closed: ${JSON.stringify(this.closed)}; pushes: ${seen}`;
    });
  }
}
