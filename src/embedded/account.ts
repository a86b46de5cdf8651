/**
 * The account that Postgres runs as. Postgres refuses root, and initdb refuses an account without a name, so
 * we may have to hand our programs to somebody else: to another uid, or to ourselves under another number in
 * a user namespace, which keeps our access to folders that are closed to others.
 */
import { isRoot } from "./folders.ts";

export type Account =
  | { is: "self" }
  | { is: "other"; uid: number; gid: number }
  /** Us, but called 65534 in a namespace of our own. */
  | { is: "masked" };

/** The user and group `nobody`; -2 on macOS. */
const NOBODY = Deno.build.os === "darwin" ? 0xffff_fffe : 65534;

/** Nothing of our environment reaches Postgres: PGDATA, LD_PRELOAD and their like would bend it. */
const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C", TZ: "UTC" };

/** A command run as the account, away from our working directory, which may be closed to it. */
export function commandAs(
  account: Account,
  program: string,
  args: string[],
  options: Omit<Deno.CommandOptions, "args" | "uid" | "gid" | "env" | "clearEnv" | "cwd"> = {},
): Deno.Command {
  const around = { ...options, cwd: "/", env: ENVIRONMENT, clearEnv: true };
  if (account.is === "masked") {
    const mask = ["--user", `--map-user=${NOBODY}`, `--map-group=${NOBODY}`, "--"];
    return new Deno.Command("unshare", { ...around, args: [...mask, program, ...args] });
  }
  const who = account.is === "other" ? { uid: account.uid, gid: account.gid } : {};
  return new Deno.Command(program, { ...around, ...who, args });
}

/** Accounts worth trying for a folder, best first. */
export async function candidateAccounts(folder: string): Promise<Account[]> {
  const masked: Account[] = Deno.build.os === "linux" ? [{ is: "masked" }] : [];
  if (!isRoot()) return [{ is: "self" }, ...masked];
  const owner = await Deno.stat(folder);
  const nobody: Account = { is: "other", uid: NOBODY, gid: NOBODY };
  const { uid, gid } = owner;
  // With sudo in somebody's clone: be that somebody, to whom the files should belong anyway.
  if (uid !== null && gid !== null && uid !== 0) return [{ is: "other", uid, gid }, nobody, ...masked];
  return [nobody, ...masked];
}

/** Who owns the account's files, as we see them; nothing when that is ourselves without being root. */
export function ownerOf(account: Account): { uid: number; gid: number } | undefined {
  if (!isRoot()) return undefined;
  return account.is === "other" ? account : { uid: 0, gid: 0 };
}
