/**
 * Programs that tests need and Debian packages bring (redis-server, clamd, chromium, …). Found or installed,
 * never started: a service that the package would start stays off, and what was running is left alone.
 */
import { join } from "node:path";

/** Where programs lie besides the PATH; daemons and Postgres' own are not on everybody's. */
const MORE_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/postgresql/15/bin"];

/**
 * Runs as root, one at a time on this machine. While it runs, policy-rc.d forbids to start services; should it
 * be killed and the file stay, the file looks for it, finds it gone and forbids nothing.
 */
const INSTALL = `
package=$1
exec 9>/run/lock/scroll-chat-apt.lock
flock -w 600 9 || exit 1
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\\nkill -0 %s 2>/dev/null && exit 101\\nexit 0\\n' "$$" >"$policy"
  chmod 755 "$policy"
fi
install() {
  apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \\
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install "$package" </dev/null
}
update() { # its own lock knows no timeout
  for turn in 1 2 3 4 5 6; do
    apt-get -qq update </dev/null && return
    sleep 5
  done
  return 1
}
install >/dev/null 2>&1 9>&- || { update && install; } >&2 9>&-
`;

/** Where the program is, or nothing. */
export async function findCommand(command: string): Promise<string | undefined> {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":").filter(Boolean), ...MORE_FOLDERS];
  for (const folder of folders) {
    const path = join(folder, command);
    const info = await Deno.stat(path).catch(() => undefined);
    if (info?.isFile && ((info.mode ?? 0) & 0o111) !== 0) return path;
  }
  return undefined;
}

/** Makes sure that the program is there, by the Debian package if need be. Throws one line that says what to do. */
export async function ensureCommand(command: string, debianPackage: string): Promise<void> {
  if (await findCommand(command) !== undefined) return;
  const toDo = `The tests need ${command}: install it (Debian: apt-get install ${debianPackage}).`;
  if (await findCommand("apt-get") === undefined) throw new Error(toDo);
  const reason = await install(debianPackage);
  if (await findCommand(command) === undefined) throw new Error(`${toDo} ${reason}`);
}

/** Why it did not work; an empty string when it did. */
async function install(debianPackage: string): Promise<string> {
  const script = ["-c", INSTALL, "install", debianPackage];
  const [program, args] = Deno.uid() === 0 ? ["sh", script] : ["sudo", ["-n", "sh", ...script]];
  try {
    const { success, stderr } = await new Deno.Command(program, { args, stdin: "null", stdout: "null" })
      .output();
    const said = new TextDecoder().decode(stderr).trim().split("\n").at(-1);
    return success ? "" : `Installing it failed: ${said}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "There is neither root nor sudo to install it.";
    throw error;
  }
}
