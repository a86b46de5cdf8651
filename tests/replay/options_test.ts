import { deepStrictEqual, ok, throws } from "node:assert/strict";
import { type CommandLine, readCommandLine } from "../../bench/replay/options.ts";
import { Unplayable } from "../../bench/replay/tokens.ts";

const read = (line: string, env: Record<string, string> = {}): CommandLine | undefined =>
  readCommandLine(line.split(" ").filter((word) => word !== ""), (name) => env[name]);

Deno.test("readCommandLine() has defaults for all but the files", () => {
  deepStrictEqual(read("a.jsonl b.jsonl"), {
    serverUrls: ["http://localhost:3001"],
    files: ["a.jsonl", "b.jsonl"],
    door: "native",
    speed: undefined,
    together: false,
    searches: 50,
    jsonPath: undefined,
    tokenFor: undefined,
  });
  deepStrictEqual(read("--help"), undefined);
});

Deno.test("readCommandLine() signs tokens if there is a secret", async () => {
  const token = await read("a", { JWT_SECRET: "x".repeat(32), JWT_ISSUER: "us" })?.tokenFor?.("|a|", "A");
  const claims = JSON.parse(atob(token?.split(".")[1] ?? ""));
  deepStrictEqual([claims.sub, claims.name, claims.iss], ["|a|", "A", "us"]);
  ok(claims.exp > Date.now() / 1000);
});

Deno.test("readCommandLine() tells what is wrong with it", () => {
  for (
    const line of [
      "",
      "--speed 0 a",
      "--speed fast a",
      "--speed 2 --flat-out a",
      "--url localhost:1 a",
      "--no a",
      "--door front a",
    ]
  ) {
    throws(() => read(line), Unplayable, line);
  }
  throws(() => read("--jwt-secret-file /nowhere/at/all a"), Unplayable);
});
