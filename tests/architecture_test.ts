/** The layout's rule as a program: folders of src/ import only what lies below them, and only what deno.json names. */
import { deepStrictEqual } from "node:assert/strict";
import { join, relative } from "node:path";

const SRC = new URL("../src/", import.meta.url).pathname;

/** What each folder (or file at the top of src/) may import of ours; "type config" stands for types of config.ts. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  protocol: [],
  log: [],
  metrics: [],
  process_faults: ["log"],
  config: ["config"],
  banner: [],
  store: ["protocol", "log", "metrics", "type config"],
  bus: ["protocol", "log", "metrics", "type config"],
  files: ["protocol", "log", "metrics", "type config"],
  delivery: ["protocol", "store", "bus", "log", "metrics", "type config"],
  chat: ["protocol", "store", "bus", "files", "delivery", "log", "metrics", "type config"],
  http: ["protocol", "chat", "delivery", "sockets", "log", "metrics", "type config"],
  sockets: ["protocol", "chat", "delivery", "log", "metrics", "type config"],
  ws: ["protocol", "chat", "delivery", "sockets", "log", "metrics", "type config"],
  socketio: ["protocol", "chat", "delivery", "sockets", "log", "metrics", "type config"],
  embedded: [],
  sdk: ["protocol"],
  web: ["sdk", "protocol"],
  app: [
    "app",
    "protocol",
    "log",
    "metrics",
    "config",
    "store",
    "bus",
    "files",
    "delivery",
    "chat",
    "http",
    "sockets",
    "ws",
    "socketio",
  ],
};
/** Modules without zod: what sdk/ and web/ take. */
const WITHOUT_ZOD = ["ids", "limits", "errors", "close_codes", "models"];

interface Import {
  file: string;
  isType: boolean;
  specifier: string;
}

async function importsOf(folder: string): Promise<Import[]> {
  const found: Import[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) found.push(...await importsOf(path));
    else if (/\.tsx?$/.test(entry.name)) {
      const text = await Deno.readTextFile(path);
      for (
        const [, isType, specifier] of text.matchAll(
          /(?:import|export)\s+(type\s)?[^;"']*?from\s+["']([^"']+)["']/g,
        )
      ) {
        found.push({ file: relative(SRC, path), isType: isType !== undefined, specifier: specifier ?? "" });
      }
      for (const [, specifier] of text.matchAll(/import\(\s*["']([^"']+)["']/g)) {
        found.push({ file: relative(SRC, path), isType: false, specifier: specifier ?? "" });
      }
    }
  }
  return found;
}

const partOf = (path: string): string => (path.split("/")[0] ?? "").replace(/\.tsx?$/, "");

function isAllowed({ file, isType, specifier }: Import): boolean {
  if (!specifier.startsWith(".")) return !/^(npm:|jsr:|https?:)/.test(specifier);
  const to = partOf(relative(SRC, join(SRC, file, "..", specifier)));
  const from = partOf(file);
  if (to === from && file.includes("/")) return true;
  const allowed = MAY_IMPORT[from] ?? [];
  return allowed.includes(to) || (isType && allowed.includes(`type ${to}`));
}

Deno.test("src/ folders import only what lies below them", async () => {
  const broken = (await importsOf(SRC)).filter((each) => !isAllowed(each));
  deepStrictEqual(broken, []);
});

Deno.test("isAllowed() refuses an arrow upwards, a value of config and an unpinned package", () => {
  const refused = [
    { file: "store/rooms.ts", isType: false, specifier: "../ws/door.ts" },
    { file: "chat/rooms.ts", isType: false, specifier: "../app.ts" },
    { file: "store/rooms.ts", isType: false, specifier: "../config.ts" },
    { file: "store/rooms.ts", isType: false, specifier: "npm:postgres" },
    { file: "protocol/models.ts", isType: true, specifier: "../store/rooms.ts" },
  ];
  deepStrictEqual(refused.filter(isAllowed), []);
});

Deno.test("modules that sdk/ and web/ take import neither zod nor what imports it", async () => {
  const broken = (await importsOf(join(SRC, "protocol"))).filter(({ file, specifier, isType }) => {
    const own = WITHOUT_ZOD.includes(file.replace(/^protocol\//, "").replace(/\.ts$/, ""));
    const target = specifier.replace(/^\.\//, "").replace(/\.ts$/, "");
    return own && !isType && specifier !== "uuid" && !WITHOUT_ZOD.includes(target);
  });
  deepStrictEqual(broken, []);
});

Deno.test("no file of src/ passes 300 lines, and only config.ts reads the environment", async () => {
  const faults: string[] = [];
  const walk = async (folder: string): Promise<void> => {
    for await (const entry of Deno.readDir(folder)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory) await walk(path);
      else if (/\.tsx?$/.test(entry.name)) {
        const text = await Deno.readTextFile(path);
        const file = relative(SRC, path);
        if (text.split("\n").length > 301) faults.push(`${file}: over 300 lines`);
        if (text.includes("Deno.env") && file !== "config.ts" && !file.startsWith("embedded/")) {
          faults.push(`${file}: Deno.env`);
        }
      }
    }
  };
  await walk(SRC);
  deepStrictEqual(faults, []);
});
