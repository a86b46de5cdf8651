/** `deno task replay`: exit code 0 if nothing was amiss, 1 if something was, 2 if it could not be played, 130 if stopped. */
import { openDoor } from "./doors.ts";
import { readCommandLine, USAGE } from "./options.ts";
import { ProgressLine } from "./progress_line.ts";
import { describe, Refusal } from "./refusal.ts";
import { replay } from "./replay.ts";
import { reportText } from "./report_text.ts";
import { Unplayable } from "./tokens.ts";

const utf8 = new TextEncoder();

function write(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  // a pipe may take less than it is given
  for (let bytes = utf8.encode(text); bytes.length > 0;) bytes = bytes.subarray(to.writeSync(bytes));
}

async function main(args: readonly string[]): Promise<number> {
  const stop = new AbortController();
  const interrupt = (): void => stop.abort(new Unplayable("Stopped"));
  Deno.addSignalListener("SIGINT", interrupt);
  Deno.addSignalListener("SIGTERM", interrupt);
  try {
    const commandLine = readCommandLine(args);
    if (commandLine === undefined) {
      write(Deno.stdout, USAGE);
      return 0;
    }
    const { jsonPath, tokenFor, door, ...options } = commandLine;
    using progress = new ProgressLine((text) => write(Deno.stderr, text), Deno.stderr.isTerminal());
    const report = await replay({
      ...options,
      door: openDoor(door, options.serverUrls),
      ...(tokenFor === undefined ? {} : { tokenFor }),
      signal: stop.signal,
      onProgress: (now) => progress.show(now),
    });
    progress[Symbol.dispose]();
    if (jsonPath !== undefined) await Deno.writeTextFile(jsonPath, `${JSON.stringify(report, null, 2)}\n`);
    write(Deno.stdout, reportText(report));
    return report.ok ? 0 : 1;
  } catch (fault) {
    const expected = fault instanceof Unplayable || fault instanceof Refusal;
    write(Deno.stderr, `${expected ? describe(fault) : Deno.inspect(fault)}\n`);
    return stop.signal.aborted ? 130 : fault instanceof Unplayable ? 2 : 1;
  } finally {
    Deno.removeSignalListener("SIGINT", interrupt);
    Deno.removeSignalListener("SIGTERM", interrupt);
  }
}

if (import.meta.main) Deno.exitCode = await main(Deno.args);
