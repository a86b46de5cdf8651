/** The scanner's client against the real clamd behind clamav-rest's contract, in health and in every way it can fail. */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import {
  Antivirus,
  type AntivirusOptions,
  ScannerUnavailable,
  ScanRefused,
} from "../../src/files/antivirus.ts";
import { TEST_VIRUS } from "../../src/files/test_virus.ts";
import { createLog } from "../../src/log.ts";
import { ClamavRest } from "../helpers/clamav_rest.ts";
import { Clamd, SIGNATURE } from "../helpers/clamd.ts";
import { zipOf } from "../helpers/archives.ts";
import { picture } from "../helpers/sample_files.ts";

const QUICK = { timeoutMs: 10_000, concurrency: 4, attempts: 3, backoffMs: 5, openAfter: 1_000, openMs: 50 };
const CLEAN = new TextEncoder().encode("Nothing to see here\n");
const never = new AbortController().signal;

class Scanner implements AsyncDisposable {
  private constructor(readonly clamd: Clamd, readonly rest: ClamavRest) {}

  static async start(): Promise<Scanner> {
    const clamd = await Clamd.start();
    return new Scanner(clamd, new ClamavRest(clamd));
  }

  antivirus(options: Partial<AntivirusOptions> = {}): Antivirus {
    return new Antivirus({ ...QUICK, url: this.rest.url, ...options }, createLog("error"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rest[Symbol.asyncDispose]();
    await this.clamd[Symbol.asyncDispose]();
  }
}

const scan = (antivirus: Antivirus, bytes: Uint8Array, signal: AbortSignal = never) =>
  antivirus.scan(() => Promise.resolve(ReadableStream.from([bytes])), { bytes: bytes.length, signal });

Deno.test("Antivirus.scan() with the real clamd", async (test) => {
  await using scanner = await Scanner.start();
  const { clamd, rest } = scanner;
  const zip = zipOf({ "a.txt": TEST_VIRUS() });
  const infected: Record<string, Uint8Array> = {
    "plain": TEST_VIRUS(),
    "in a zip": zip,
    "in a zip in a zip": zipOf({ "inner.zip": zip }),
    "behind a picture": Uint8Array.from([...picture(), ...TEST_VIRUS()]),
  };
  for (const [where, bytes] of Object.entries(infected)) {
    await test.step(`finds the test virus ${where}`, async () => {
      deepStrictEqual(await scan(scanner.antivirus(), bytes), { is: "infected", signature: SIGNATURE });
    });
  }

  await test.step("says clean of what is clean, in many pieces too", async () => {
    const antivirus = scanner.antivirus();
    deepStrictEqual(await scan(antivirus, CLEAN), { is: "clean" });
    const big = new Uint8Array(3 * 1024 * 1024);
    const pieces = () =>
      Promise.resolve(
        ReadableStream.from(Array.from({ length: 48 }, (_, i) => big.subarray(i * 65_536, (i + 1) * 65_536))),
      );
    deepStrictEqual(await antivirus.scan(pieces, { bytes: big.length, signal: never }), { is: "clean" });
  });

  const faults: [string, typeof rest.fault][] = [
    ["500", { is: "status", status: 500, body: "oops" }],
    ["404: an address of something else", { is: "status", status: 404, body: "not found" }],
    ["401", { is: "status", status: 401, body: "" }],
    ["200 with a page instead of an answer", { is: "status", status: 200, body: "<html>Welcome</html>" }],
    ["200 with nothing scanned", { is: "status", status: 200, body: "[]" }],
    ["200 with an entry too many", {
      is: "status",
      status: 200,
      body: '[{"Status":"OK"},{"Status":"OK"}]',
    }],
    ["406 without a find", { is: "status", status: 406, body: "Not Acceptable" }],
    ["a connection that is cut", { is: "reset", afterBytes: 10 }],
    ["a scanner that says OK of the test virus", { is: "lying" }],
  ];
  for (const [what, fault] of faults) {
    await test.step(`does not take for a verdict: ${what}`, async () => {
      rest.fault = fault;
      try {
        await rejects(scan(scanner.antivirus(), CLEAN), ScannerUnavailable);
        // also where the scanner has been trusted a moment ago
        rest.fault = { is: "none" };
        const antivirus = scanner.antivirus();
        await antivirus.probe(never);
        if (fault.is === "lying") return; // believed until the next canary
        rest.fault = fault;
        await rejects(scan(antivirus, CLEAN), ScannerUnavailable);
      } finally {
        rest.fault = { is: "none" };
      }
    });
  }

  await test.step("gives up on a scanner that never answers", async () => {
    rest.fault = { is: "silent" };
    await rejects(scan(scanner.antivirus({ timeoutMs: 100 }), CLEAN), ScannerUnavailable);
    rest.fault = { is: "none" };
  });

  await test.step("waits for a slow one", async () => {
    rest.fault = { is: "slow", ms: 150 };
    deepStrictEqual(await scan(scanner.antivirus(), CLEAN), { is: "clean" });
    rest.fault = { is: "none" };
  });

  await test.step("tries again: a passing fault is not seen", async () => {
    const antivirus = scanner.antivirus();
    await antivirus.probe(never);
    rest.fault = { is: "status", status: 500, body: "" };
    let opened = 0;
    const verdict = await antivirus.scan(() => {
      if (++opened === 3) rest.fault = { is: "none" };
      return Promise.resolve(ReadableStream.from([CLEAN]));
    }, { bytes: CLEAN.length, signal: never });
    deepStrictEqual([verdict, opened], [{ is: "clean" }, 3]);
  });

  await test.step("refuses for good what is too large for the scanner, and what it cannot read", async () => {
    const antivirus = scanner.antivirus({ attempts: 1 });
    await rejects(scan(antivirus, new Uint8Array(26 * 1024 * 1024)), ScanRefused);
  });

  await test.step("takes 413 for an outage while clamd is gone, and asks again afterwards", async () => {
    const antivirus = scanner.antivirus({ attempts: 1 });
    await antivirus.probe(never);
    await clamd.kill();
    await rejects(scan(antivirus, CLEAN), ScannerUnavailable);
    await rejects(antivirus.probe(never), ScannerUnavailable);
    await clamd.restart();
    deepStrictEqual(await scan(antivirus, CLEAN), { is: "clean" });
  });

  await test.step("stops asking after failures in a row, then asks with one test virus, and comes back", async () => {
    const antivirus = scanner.antivirus({ attempts: 1, openAfter: 3, openMs: 60 });
    await rest.down();
    for (let i = 0; i < 3; i++) await rejects(scan(antivirus, CLEAN), ScannerUnavailable);
    strictEqual(antivirus.state.circuit, "open");
    const fault = await scan(antivirus, CLEAN).catch((error) => error);
    ok(fault instanceof ScannerUnavailable && fault.retryAfterMs > 0 && fault.message.includes("circuit"));
    rest.up();
    rest.asked = 0;
    while (antivirus.state.circuit === "open") await new Promise((resolve) => setTimeout(resolve, 10));
    deepStrictEqual(await scan(antivirus, CLEAN), { is: "clean" });
    strictEqual(antivirus.state.circuit, "closed");
    strictEqual(rest.asked, 2); // the test virus first
  });

  await test.step("has no more under way than it may, and refuses what cannot even wait", async () => {
    const antivirus = scanner.antivirus({ concurrency: 2, queueMax: 4 });
    rest.fault = { is: "slow", ms: 30 };
    rest.atOnceMax = 0;
    const all = await Promise.allSettled(Array.from({ length: 8 }, () => scan(antivirus, CLEAN)));
    rest.fault = { is: "none" };
    deepStrictEqual(all.map(({ status }) => status), [...Array(6).fill("fulfilled"), "rejected", "rejected"]);
    ok(rest.atOnceMax <= 2, `${rest.atOnceMax} at once`);
    deepStrictEqual(antivirus.state, { circuit: "closed", running: 0, queued: 0 });
  });

  await test.step("ends when it is told to, in the queue and on the way", async () => {
    const antivirus = scanner.antivirus({ concurrency: 1 });
    rest.fault = { is: "silent" };
    const stop = new AbortController();
    const reason = new Error("told to");
    const scans = [scan(antivirus, CLEAN, stop.signal), scan(antivirus, CLEAN, stop.signal)];
    setTimeout(() => stop.abort(reason), 50);
    const ends = await Promise.allSettled(scans);
    rest.fault = { is: "none" };
    deepStrictEqual(ends.map((end) => end.status === "rejected" && end.reason), [reason, reason]);
    strictEqual(antivirus.state.running, 0);
  });

  await test.step("calls half a file an error, never clean; what the store throws is passed on", async () => {
    const antivirus = scanner.antivirus();
    await antivirus.probe(never);
    const short = () => Promise.resolve(ReadableStream.from([CLEAN.subarray(0, 5)]));
    await rejects(antivirus.scan(short, { bytes: CLEAN.length, signal: never }), /5 bytes instead of/);
    const fault = new Error("the store is gone");
    await rejects(antivirus.scan(() => Promise.reject(fault), { bytes: 1, signal: never }), fault);
    strictEqual(antivirus.state.circuit, "closed");
  });
});
