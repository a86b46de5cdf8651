/** How long recordings are, measured in what real encoders wrote. */
import { ok, rejects, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { measureDurationMs } from "../../src/files/media.ts";
import { pulled } from "../../src/files/streams.ts";
import { sampleFiles, wave } from "../helpers/sample_files.ts";

const signal = new AbortController().signal;
const live = Deno.readFileSync(new URL("../data/files/live.webm", import.meta.url));

const measure = (bytes: Uint8Array<ArrayBuffer>, mimeType: string): Promise<number | undefined> =>
  measureDurationMs(
    () => Promise.resolve(new Blob([bytes]).stream()),
    { bytes: bytes.length, mimeType },
    signal,
  );

for (
  const { name, bytes, mimeType } of sampleFiles().filter(({ mimeType }) => mimeType.startsWith("audio/"))
) {
  Deno.test(`measureDurationMs() of ${name}, a second long`, async () => {
    const ms = await measure(bytes, mimeType);
    ok(ms !== undefined && Math.abs(ms - 1_000) < 200, `${ms} ms`);
  });
}

Deno.test("measureDurationMs() of a recording that was written live, as browsers do, by its last block", async () => {
  const ms = await measure(live, "audio/webm");
  ok(ms !== undefined && Math.abs(ms - 3_000) < 100, `${ms} ms`);
  const half = await measure(live.slice(0, live.length / 2), "audio/webm");
  ok(half !== undefined && half > 1_000 && half < 2_000, `${half} ms`);
});

Deno.test("measureDurationMs() does not know the length of what is no recording", async () => {
  strictEqual(await measure(new TextEncoder().encode("hello"), "audio/mpeg"), undefined);
  strictEqual(await measure(new Uint8Array(), "audio/webm"), undefined);
  strictEqual(await measure(wave().slice(0, 20), "audio/wav"), undefined);
});

Deno.test("measureDurationMs() lets go of the file, also where it stops early", async () => {
  for (const mimeType of ["audio/mpeg", "audio/webm", "audio/mp4"]) {
    let [opened, closed] = [0, 0];
    const open = () => {
      opened++;
      let left = 40;
      const next = () => Promise.resolve(left-- > 0 ? new Uint8Array(65_536) : undefined);
      return Promise.resolve(pulled(next, () => void closed++));
    };
    strictEqual(await measureDurationMs(open, { bytes: 40 * 65_536, mimeType }, signal), undefined);
    strictEqual(closed, opened);
  }
});

Deno.test("measureDurationMs() passes on what the store throws, and ends when it is told to", async () => {
  const fault = new Error("the store is gone");
  await rejects(
    measureDurationMs(() => Promise.reject(fault), { bytes: 1, mimeType: "audio/mpeg" }, signal),
    fault,
  );
  const reason = new Error("told to");
  const open = () => Promise.resolve(new Blob([live]).stream());
  await rejects(
    measureDurationMs(open, { bytes: live.length, mimeType: "audio/webm" }, AbortSignal.abort(reason)),
    reason,
  );
});

Deno.test("measureDurationMs() of any bytes is a length or unknown, and soon", async () => {
  const recordings = sampleFiles().filter(({ mimeType }) => /^(?:audio|video)/.test(mimeType));
  const files = fc.tuple(
    fc.constantFrom(...recordings, { bytes: live, mimeType: "audio/webm" }),
    fc.array(fc.tuple(fc.nat(4_000), fc.nat(255)), { maxLength: 20 }),
  );
  await fc.assert(
    fc.asyncProperty(files, async ([{ bytes, mimeType }, changes]) => {
      const changed = bytes.slice();
      for (const [at, value] of changes) changed[at % changed.length] = value;
      const ms = await measure(changed, mimeType);
      ok(ms === undefined || (Number.isInteger(ms) && ms > 0));
    }),
    { numRuns: 200 },
  );
});
