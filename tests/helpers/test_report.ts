/**
 * What a run of `deno test` says about itself: the counts of its closing line, and the times in its JUnit file.
 * A run that broke off has no closing line and counts as a failure, whatever had passed by then.
 */

export interface Counts {
  passed: number;
  failed: number;
}

export interface TimedTest {
  name: string;
  module: string;
  seconds: number;
}

const ANSI = new RegExp(String.raw`${String.fromCharCode(27)}\[[0-9;]*m`, "g");

/** The counts, given all that deno test wrote to stdout and how it exited. */
export function readCounts(output: string, exitCode: number): Counts {
  const plain = output.replaceAll(ANSI, "");
  const closing = [...plain.matchAll(/^(?:ok|FAILED) \| (\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed/gm)]
    .at(-1);
  if (closing === undefined) {
    // Killed, or a module did not compile: count what was seen to pass.
    return { passed: plain.match(/^\S.* \.\.\. ok \(/gm)?.length ?? 0, failed: 1 };
  }
  const [passed, failed] = [Number(closing[1]), Number(closing[2])];
  return { passed, failed: exitCode === 0 ? failed : Math.max(failed, 1) };
}

/** The slowest tests of a JUnit file, slowest first; steps are part of their test. */
export function readSlowest(junit: string, count: number): TimedTest[] {
  const cases = [...junit.matchAll(/<testcase name="([^"]*)" classname="([^"]*)" time="([\d.]+)"/g)];
  return cases
    .map(([, name, module, seconds]) => ({
      name: unescapeXml(name ?? ""),
      module: unescapeXml(module ?? ""),
      seconds: Number(seconds),
    }))
    .filter((test) => !test.name.includes(" > "))
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, count);
}

function unescapeXml(text: string): string {
  const named: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replaceAll(/&(?:#(\d+)|(\w+));/g, (whole, code?: string, name?: string) => {
    if (code !== undefined) return String.fromCodePoint(Number(code));
    return named[name ?? ""] ?? whole;
  });
}
