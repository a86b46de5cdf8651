/** As much of Docker as it takes to try a Dockerfile without it: its instructions, and a folder made by them. */
import { dirname, join } from "node:path";

export interface Instruction {
  name: string;
  text: string;
}

/** Comments are gone, continued lines are one. */
export function parseDockerfile(text: string): Instruction[] {
  const lines = text.replace(/^#.*\n/gm, "").replace(/\\\n\s*/g, "").split("\n").filter((line) =>
    line.trim() !== ""
  );
  return lines.map((line) => {
    const [name = ""] = line.split(" ", 1);
    return { name, text: line.slice(name.length + 1) };
  });
}

/** Of the last stage. */
export function lastOf(instructions: readonly Instruction[], name: string): string {
  const found = instructions.findLast((instruction) => instruction.name === name);
  if (found === undefined) throw new Error(`The Dockerfile has no ${name}`);
  return found.text;
}

/** Rules of a .dockerignore without wildcards but `*`: the last one that fits wins. */
export function ignoreRule(text: string): (path: string) => boolean {
  const rules = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return (path) => {
    const rule = rules.findLast((rule) => {
      const pattern = rule.replace(/^!/, "");
      return pattern === "*" || path === pattern || path.startsWith(`${pattern}/`);
    });
    return rule !== undefined && !rule.startsWith("!");
  };
}

/** `COPY from… to` of the build context into `folder`, which stands for the WORKDIR. */
export async function copy(
  text: string,
  context: string,
  folder: string,
  isIgnored: (path: string) => boolean,
): Promise<void> {
  const words = text.split(" ");
  const [from, to] = [words.slice(0, -1), words.at(-1) ?? ""];
  for (const source of from) {
    const { isDirectory } = await Deno.stat(join(context, source));
    if (isDirectory) await copyFolder(source, join(folder, to));
    else await copyFile(source, join(folder, to, source.split("/").at(-1) ?? ""));
  }

  async function copyFolder(path: string, target: string): Promise<void> {
    for await (const entry of Deno.readDir(join(context, path))) {
      const [inner, place] = [`${path}/${entry.name}`, join(target, entry.name)];
      if (entry.isDirectory) await copyFolder(inner, place);
      else await copyFile(inner, place);
    }
  }

  async function copyFile(path: string, target: string): Promise<void> {
    if (isIgnored(path)) return;
    await Deno.mkdir(dirname(target), { recursive: true });
    await Deno.copyFile(join(context, path), target);
  }
}
