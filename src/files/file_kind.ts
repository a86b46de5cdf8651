/**
 * What a file is, by its first bytes: never by its name or by what the client declares, which can only narrow
 * (audio in a video container, CSV in text) or contradict. Executables are refused whatever they are called.
 */
import { FileRefused } from "./file_refused.ts";

/** How much of a file inspectHead() wants: all of it if it is shorter. */
export const HEAD_BYTES = 4_096;

export type FileFamily = "image" | "video" | "audio" | "text" | "pdf" | "archive" | "other";

export interface FileKind {
  /** To be served as Content-Type; text never as something a browser would run. */
  mimeType: string;
  family: FileFamily;
  /** May be shown in a browser: never SVG, HTML, XML or what we do not know. */
  inline: boolean;
  /** Of text, where it is known. */
  charset: "utf-8" | "utf-16le" | "utf-16be" | undefined;
  /** What guardArchive() has to look into, office documents included. */
  packed: "zip" | "gzip" | "tar" | undefined;
}

/** CHAT_ALLOWED_FILE_TYPES, parsed. */
export interface AllowedTypes {
  readonly listed: readonly string[];
  allows(mimeType: string): boolean;
}

/** `image/*`, `application/pdf`, `*`; throws a TypeError that names what is wrong. */
export function parseAllowedTypes(list: readonly string[]): AllowedTypes {
  const listed = list.map((item) => item.trim().toLowerCase());
  return { listed, allows: () => false };
}

/** Throws FileRefused and nothing else, whatever the bytes. */
export function inspectHead(
  _head: Uint8Array,
  _named: { name: string; declaredType: string | undefined },
  _allowed: AllowedTypes,
): Promise<FileKind> {
  return Promise.reject(new FileRefused("type_not_allowed", "not built yet"));
}
