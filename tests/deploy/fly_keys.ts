/**
 * The keys that Fly documents for fly.toml (App configuration, fly.io/docs/reference/configuration), as far as this
 * project might want them. `*` stands for a name of one's own.
 */
const CHECK = [
  "grace_period",
  "interval",
  "timeout",
  "method",
  "path",
  "protocol",
  "tls_server_name",
  "tls_skip_verify",
];

export const FLY_KEYS: ReadonlySet<string> = new Set([
  ...["app", "primary_region", "kill_signal", "kill_timeout", "console_command", "swap_size_mb"],
  ...under("build", ["builder", "buildpacks", "image", "dockerfile", "ignorefile", "build-target", "args.*"]),
  ...under("deploy", [
    ...["strategy", "max_unavailable", "release_command", "release_command_timeout", "wait_timeout"],
  ]),
  "env.*",
  ...under("http_service", [
    ...["processes", "internal_port", "force_https", "auto_stop_machines", "auto_start_machines"],
    "min_machines_running",
    ...under("concurrency", ["type", "soft_limit", "hard_limit"]),
    ...under("checks", [...CHECK, "headers.*"]),
    ...under("tls_options", ["alpn", "versions", "default_self_signed"]),
    ...under("http_options", ["h2_backend", "response.headers.*"]),
  ]),
  ...under("checks.*", ["type", "port", "processes", ...CHECK, "headers.*"]),
  ...under("mounts", ["source", "destination", "processes", "initial_size"]),
  ...under("vm", ["size", "memory", "cpus", "cpu_kind", "host_dedication_id", "processes"]),
  ...under("metrics", ["port", "path", "processes"]),
  "processes.*",
]);

function under(table: string, keys: readonly string[]): string[] {
  return keys.map((key) => `${table}.${key}`);
}

/** Paths of all values, with the elements of an array of tables as one. */
export function pathsOf(value: unknown, path = ""): string[] {
  if (Array.isArray(value) && value.some((item) => typeof item === "object")) {
    return value.flatMap((item) => pathsOf(item, path));
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([key, inner]) =>
    pathsOf(inner, path === "" ? key : `${path}.${key}`)
  );
}

export function isDocumented(path: string): boolean {
  const words = path.split(".");
  return FLY_KEYS.has(path) || words.some((_, i) => FLY_KEYS.has(words.with(i, "*").join(".")));
}
