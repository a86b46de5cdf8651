/** A detector that loops for ever is stopped: shown with a loop as file-type had it (CVE-2026-31808). */
import { rejects, strictEqual } from "node:assert/strict";
import { boundedTokenizer, typeShownBy } from "../../src/files/sniff.ts";

Deno.test("a tokenizer of sniff.ts ends a loop that never moves on, without a timer", async () => {
  const tokenizer = boundedTokenizer(new Uint8Array(55));
  const loop = async (): Promise<void> => {
    const id = new Uint8Array(16);
    while (tokenizer.position + 24 < (tokenizer.fileInfo.size ?? 0)) {
      await tokenizer.peekBuffer(id);
      await tokenizer.ignore(0);
    }
  };
  await rejects(loop(), /no end/);
});

Deno.test("typeShownBy() is back at once from the bytes that looped in file-type before 21.3.1", async () => {
  const asf = new Uint8Array(55);
  asf.set(Uint8Array.fromHex("3026b2758e66cf11a6d900aa0062ce6c"));
  const start = performance.now();
  await typeShownBy(asf);
  strictEqual(performance.now() - start < 1_000, true);
});
