/**
 * Our own limits for archives, since scanners call a bomb clean: how much comes out, how many files, how deep. What a
 * file says about its own size is never believed: everything is unpacked bit by bit, counted and thrown away. What
 * cannot be looked into (encrypted, or a format that nothing here unpacks) is refused, at every depth.
 */
import { ArchiveBudget, type ArchiveLimits } from "./archive_budget.ts";
import { ArchiveWalk } from "./archive_walk.ts";
import { ByteReader } from "./byte_reader.ts";
import type { FileKind } from "./file_kind.ts";
import { FileRefused } from "./file_refused.ts";
import type { ByteRange } from "./file_store.ts";
import { PACKAGES } from "./media_types.ts";
import { readHead } from "./streams.ts";
import { Turns } from "./turns.ts";
import { findDirectory, type ZipEntry, type ZipSource } from "./zip_directory.ts";

export type { ArchiveLimits } from "./archive_budget.ts";

/** As FileStore.get() of one key. */
export type ReadRange = (
  range: ByteRange | undefined,
  signal: AbortSignal,
) => Promise<ReadableStream<Uint8Array>>;

/** Unpacking is the node's own work: never more than two at once, and each is done in small steps. */
const AT_ONCE = 2;
const turns = new Turns(AT_ONCE);

/**
 * For every stored file, before it is scanned; images and the like are only looked at for an archive at their end.
 * Throws FileRefused for what the file is, the signal's reason, and what `read` throws.
 */
export async function guardArchive(
  read: ReadRange,
  { bytes, kind }: { bytes: number; kind: FileKind },
  { signal, limits }: { signal: AbortSignal; limits?: Partial<ArchiveLimits> },
): Promise<void> {
  using _turn = await turns.take(signal);
  const source: ZipSource = { bytes, read: (range) => read(range, signal) };
  const walk = new ArchiveWalk(new ArchiveBudget(bytes, limits), signal);
  const directory = await findDirectory(source);
  if (kind.packed === "zip") {
    const entries = await walk.zip(source, directory, 1);
    requirePackage(kind.mimeType, entries);
  } else if (directory !== undefined && directory.count > 0) {
    throw new FileRefused("polyglot", "The file has an archive at its end that its type does not show");
  } else if (kind.packed === "gzip" || kind.packed === "tar") {
    const reader = new ByteReader(await read(undefined, signal));
    try {
      await walk.into(reader, 0);
    } finally {
      await reader.close();
    }
  } else if (kind.packed === "compound") {
    await refuseInstaller(source);
  } else if (kind.family === "archive") {
    throw new FileRefused(
      "archive_unsupported",
      `Archives of this kind are not taken: send a zip or a tar.gz`,
    );
  }
}

/** The type was believed to whoever declared it: a zip is no document because it is called one. */
function requirePackage(mimeType: string, entries: readonly ZipEntry[]): void {
  const part = PACKAGES.get(mimeType);
  if (part === undefined || entries.some(({ name }) => part.test(name))) return;
  throw new FileRefused(
    "type_contradicted",
    `The file says that it is ${mimeType}, but it is another archive`,
  );
}

/** Installers of Windows are documents of the old Office by their first bytes; the root's class tells them apart. */
const INSTALLER = /^(?:84|82|86)100c0000000000c000000000000046$/;

async function refuseInstaller(source: ZipSource): Promise<void> {
  const part = async (start: number, length: number): Promise<DataView> => {
    const end = Math.min(start + length, source.bytes);
    const bytes = end > start
      ? await readHead(await source.read({ start, end }), end - start)
      : new Uint8Array();
    if (bytes.length < length) throw new FileRefused("archive_broken", "The document ends too early");
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
  const header = await part(0, 512);
  const shift = Math.min(header.getUint16(30, true), 16);
  const root = await part((header.getUint32(48, true) + 1) * 2 ** shift, 128);
  const id = new Uint8Array(root.buffer, root.byteOffset + 80, 16).toHex();
  if (INSTALLER.test(id)) {
    throw new FileRefused(
      "executable",
      "This is an installer of Windows: programs are not taken, under any name",
    );
  }
}
