/** A node in each region, in this process, and what the far one asks of the home region. */
import { startTestApp, type TestApp } from "../helpers/test_app.ts";
import type { RestClient } from "../helpers/rest_client.ts";
import { until } from "../faults/until.ts";
import { RegionServers } from "./servers.ts";

const FIT_MS = 15_000;
/** Of a far node by itself, a second: it looks how far the primary is, and each five seconds says that it lives. */
const OWN_ASKS_A_SECOND = 1.2;

export class TwoRegions implements AsyncDisposable {
  readonly servers: RegionServers;
  readonly home: TestApp;
  readonly far: TestApp;
  /** What the far node says of its replica. */
  readonly #news: string[];
  readonly #parts: AsyncDisposableStack;

  private constructor(
    init: { servers: RegionServers; home: TestApp; far: TestApp; news: string[] },
    parts: AsyncDisposableStack,
  ) {
    this.servers = init.servers;
    this.home = init.home;
    this.far = init.far;
    this.#news = init.news;
    this.#parts = parts;
  }

  static async start(env: Record<string, string> = {}): Promise<TwoRegions> {
    await using parts = new AsyncDisposableStack();
    const servers = parts.use(await RegionServers.start());
    const news: string[] = [];
    const onLog = (line: string): void => void (line.includes('"replica.') && news.push(line));
    const home = parts.use(await startNode({ ...servers.homeEnv, ...env }));
    const far = parts.use(await startNode({ ...servers.farEnv, ...env }, onLog));
    const regions = new TwoRegions({ servers, home, far, news }, parts.move());
    await regions.untilFit(true);
    return regions;
  }

  get isFit(): boolean {
    const said = this.#news.findLast((line) => /"replica.(un)?fit"/.test(line));
    return said?.includes('"replica.fit"') ?? false;
  }

  untilFit(isFit: boolean): Promise<void> {
    return until(() => this.isFit === isFit, FIT_MS, `the replica to be ${isFit ? "fit" : "unfit"}`);
  }

  /** How often the primary was asked from afar meanwhile, at least; what the node asks by itself is taken off. */
  async asked<T>(work: () => Promise<T>): Promise<{ asked: number; answer: T }> {
    const { primary } = this.servers.links;
    const [before, began] = [primary.asked, performance.now()];
    const answer = await work();
    const own = Math.ceil((performance.now() - began) / 1_000 * OWN_ASKS_A_SECOND);
    return { asked: Math.max(0, primary.asked - before - own), answer };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

export const contentsOf = async (client: RestClient, path: string): Promise<string[]> => {
  const { status, body } = await client.get(path);
  if (status !== 200) throw new Error(`${status}: ${JSON.stringify(body)}`);
  return body.messages.map(({ content }: { content: string }) => content);
};

function startNode(env: Record<string, string>, onLog?: (line: string) => void): Promise<TestApp> {
  const database = { url: env.DATABASE_URL ?? "", [Symbol.asyncDispose]: () => Promise.resolve() };
  // a sweep would be counted
  return startTestApp({ database, env: { CHAT_SWEEP_INTERVAL: "600000", ...env }, ...onLog && { onLog } });
}
