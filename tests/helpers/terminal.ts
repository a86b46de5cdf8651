/**
 * The terminal of a command: whole lines of ours between what its children say. There is one terminal, so there
 * is one state: whether the last line is finished.
 */

const utf8 = new TextEncoder();
const NEWLINE = 10;
let lastByte = NEWLINE;

/** A line of its own, also after a test that was cut off in the middle of one. */
export async function say(line: string): Promise<void> {
  const start = lastByte === NEWLINE ? "" : "\n";
  await write(Deno.stdout, utf8.encode(`${start}${line}\n`));
}

/** A pipe may take less than it is given. */
export async function write(to: typeof Deno.stdout, bytes: Uint8Array): Promise<void> {
  lastByte = bytes.at(-1) ?? lastByte;
  for (let done = 0; done < bytes.length;) done += await to.write(bytes.subarray(done));
}
