/**
 * What a file is, by its first bytes: never by its name or by what the client declares, which can only narrow
 * (audio in a video container, CSV in text) or contradict. Executables are refused whatever they are called. What lies
 * beyond the head, archives above all, is looked at by archive_guard.ts and by the scanner.
 */
import { executableIn } from "./executables.ts";
import { displayName, extensionOf } from "./file_names.ts";
import { FileRefused } from "./file_refused.ts";
import {
  type AllowedTypes,
  claimedType,
  COMPOUND_DOCUMENTS,
  familyOf,
  type FileFamily,
  PACKAGES,
  typeOfExtension,
} from "./media_types.ts";
import { typeShownBy } from "./sniff.ts";
import { type Charset, legacyTextIn, textIn, type TextKind } from "./text_kind.ts";

export { type AllowedTypes, type FileFamily, parseAllowedTypes } from "./media_types.ts";

/** How much of a file inspectHead() wants: all of it if it is shorter. */
export const HEAD_BYTES = 4_096;

export interface FileKind {
  /** To be served as Content-Type; text never as something a browser would run. */
  mimeType: string;
  family: FileFamily;
  /** May be shown in a browser: never SVG, HTML, XML or what we do not know. */
  inline: boolean;
  /** Of text, where it is known. */
  charset: Charset | undefined;
  /** What guardArchive() has to look into, office documents included. */
  packed: "zip" | "gzip" | "tar" | "compound" | undefined;
}

/** Throws FileRefused and nothing else, whatever the bytes. */
export async function inspectHead(
  head: Uint8Array,
  named: { name: string; declaredType: string | undefined },
  allowed: AllowedTypes,
): Promise<FileKind> {
  if (head.length === 0) throw new FileRefused("empty", "The file is empty");
  const extension = extensionOf(displayName(named.name));
  const claim = claimedType(named.declaredType) ?? typeOfExtension(extension);
  const shown = await typeShownBy(head);
  const text = textOf(head, shown, claim);
  const program = executableIn(head, extension, text !== undefined);
  if (program !== undefined) {
    throw new FileRefused(
      "executable",
      `This is ${program}: programs are not taken, under any name`,
    );
  }
  const found = text === undefined ? shown ?? UNKNOWN : typeOfText(text, shown);
  if (found in PROGRAMS) {
    throw new FileRefused(
      "executable",
      "Programs are not taken, under any name",
    );
  }
  if (hidesPdf(head, found)) {
    throw new FileRefused(
      "polyglot",
      "The file is a PDF and something else at once",
    );
  }
  if (claim !== undefined && contradicts(claim, found, extension)) {
    throw new FileRefused(
      "type_contradicted",
      `The file says that it is ${claim}, but its bytes are ${found}`,
    );
  }
  const mimeType = candidates(found, claim, extension).find((type) => allowed.allows(type));
  if (mimeType === undefined) {
    throw new FileRefused(
      "type_not_allowed",
      `Files of the type ${found} are not taken here, only ${allowed.listed.join(", ")}`,
    );
  }
  const family = familyOf(mimeType);
  return {
    mimeType,
    family,
    inline: INLINE.has(mimeType) &&
      !(text !== undefined && LOOKS_ACTIVE.test(text.text)),
    charset: family === "text" ? text?.charset : undefined,
    packed: packedIn(found),
  };
}

const UNKNOWN = "application/octet-stream";
const PROGRAMS: Record<string, true> = {
  "application/java-archive": true,
  "application/vnd.android.package-archive": true,
  "application/x-xpinstall": true,
  "application/x-apple-diskimage": true,
  "application/x-asar": true,
  "application/vnd.ms-htmlhelp": true,
};
/** What browsers show without running anything in it; the door adds nosniff and a sandbox. */
const INLINE = new Set([
  ..."png apng jpeg gif webp avif bmp".split(" ").map((name) => `image/${name}`),
  ..."mpeg mp4 ogg wav webm flac aac".split(" ").map((name) => `audio/${name}`),
  ..."mp4 webm ogg".split(" ").map((name) => `video/${name}`),
  ..."plain csv tab-separated-values markdown".split(" ").map((name) => `text/${name}`),
  "application/pdf",
]);
const LOOKS_ACTIVE = /<(?:script|html|body|iframe|svg|object|embed|math)[\s/>]/i;

/** What is text to the last byte is nothing else, whatever two letters at its start look like. */
function textOf(
  head: Uint8Array,
  shown: string | undefined,
  claim: string | undefined,
): TextKind | undefined {
  const text = textIn(head, head.length < HEAD_BYTES);
  if (text !== undefined || shown !== undefined) return text;
  return claim !== undefined && familyOf(claim) === "text" ? legacyTextIn(head) : undefined;
}

/** Formats that are written in text and are more than text. */
const WRITTEN = new Set([
  "application/pdf",
  "application/rtf",
  "application/postscript",
  "application/eps",
  "text/calendar",
  "text/vcard",
  "text/vtt",
]);

function typeOfText({ markup }: TextKind, shown: string | undefined): string {
  if (markup === "svg") return "image/svg+xml";
  if (markup !== undefined) return `text/${markup}`;
  return shown !== undefined && WRITTEN.has(shown) ? shown : "text/plain";
}

/** Readers find a PDF anywhere in the first KiB; ours begin with it, or are no PDF. */
function hidesPdf(head: Uint8Array, found: string): boolean {
  if (found === "application/pdf") return false;
  const start = new TextDecoder("latin1").decode(head.subarray(0, 1_024));
  return (familyOf(found) === "text" ? /^[^\S\n]*%PDF-\d\.\d\s*$/m : /%PDF-\d/)
    .test(start);
}

/** Only where the claim is of another kind: a JPEG called photo.png is still a picture, and served as what it is. */
function contradicts(claim: string, found: string, extension: string): boolean {
  const [claimed, actual] = [familyOf(claim), familyOf(found)];
  if ((claim === "image/svg+xml") !== (found === "image/svg+xml")) {
    return claimed !== "text" && claimed !== "other";
  }
  if (COMPOUND_DOCUMENTS.has(claim)) {
    return found !== "application/x-cfb" && found !== claim &&
      !(actual === "text" && claimsText(extension));
  }
  if (PACKAGES.has(claim)) return packedIn(found) !== "zip";
  if (claimed === "archive") {
    return actual !== "archive" && packedIn(found) !== "zip";
  }
  if (claimed === "other") return actual === "pdf";
  if (claimed === "text" && found === "application/rtf") return false;
  // browsers take sources in TypeScript for video, and name tables after the program that opens them
  if (actual === "text" && (claimsText(extension) || SOURCES.has(extension))) {
    return false;
  }
  const isMedia = (family: FileFamily): boolean => family === "audio" || family === "video";
  return claimed !== actual &&
    !(isMedia(claimed) && (isMedia(actual) || OGG_OR_ASF.has(found)));
}

const SOURCES = new Set([
  "ts",
  "mts",
  "cts",
  "tsx",
  "rs",
  "mpl",
  "org",
  "pl",
  "m",
  "mod",
  "obj",
]);
const OGG_OR_ASF = new Set([
  "application/ogg",
  "application/vnd.ms-asf",
  "application/mxf",
]);

function claimsText(extension: string): boolean {
  const type = typeOfExtension(extension);
  return type !== undefined && familyOf(type) === "text";
}

/** Text types that browsers do not run. */
const HARMLESS = new Set([
  "text/csv",
  "text/tab-separated-values",
  "text/markdown",
  "text/calendar",
  "text/vcard",
]);

/** The narrowest first; the first one that is allowed is the type. */
function candidates(
  found: string,
  claim: string | undefined,
  extension: string,
): string[] {
  if (found === "text/plain") {
    const claims = [claim, typeOfExtension(extension)].filter((type) => type !== undefined);
    const narrow = claims.find((type) => HARMLESS.has(type));
    const other = claims.filter((type) => familyOf(type) === "text" && type.startsWith("application/"));
    return [...(narrow === undefined ? [] : [narrow]), "text/plain", ...other];
  }
  if (claim === undefined) return [found];
  const [top, sub] = found.split("/");
  if (
    top === "video" && claim.startsWith("audio/") &&
    ["mp4", "webm", "ogg", "3gpp"].includes(sub ?? "")
  ) {
    return [`audio/${sub}`, found];
  }
  if (found === "application/zip" && PACKAGES.has(claim)) return [claim, found]; // archive_guard looks whether it is
  if (found === "application/x-cfb" && COMPOUND_DOCUMENTS.has(claim)) {
    return [claim, found];
  }
  return [found];
}

function packedIn(found: string): FileKind["packed"] {
  if (found === "application/gzip") return "gzip";
  if (found === "application/x-tar") return "tar";
  if (found === "application/x-cfb" || COMPOUND_DOCUMENTS.has(found)) {
    return "compound";
  }
  return found === "application/zip" || ZIP_INSIDE.test(found) ? "zip" : undefined;
}

const ZIP_INSIDE =
  /^(?:application\/(?:vnd\.(?:openxmlformats-|oasis\.opendocument|ms-(?:word|excel|powerpoint)\..*macroenabled|apple\.(?:keynote|numbers|pages)|visio)|epub\+zip)|model\/3mf)/;
