/**
 * Names of types: families, what extensions and browsers claim, other spellings of one type, and the list of types
 * that the operator allows. What a file really is, is found in its bytes: file_kind.ts.
 */

export type FileFamily =
  | "image"
  | "video"
  | "audio"
  | "text"
  | "pdf"
  | "archive"
  | "other";

/** CHAT_ALLOWED_FILE_TYPES, parsed. */
export interface AllowedTypes {
  readonly listed: readonly string[];
  allows(mimeType: string): boolean;
}

const TOKEN = "[a-z0-9][a-z0-9!#$&^_.+-]{0,126}";
const TYPE = new RegExp(`^${TOKEN}/${TOKEN}$`);

/** `image/*`, `application/pdf`, `*`; config/files_config.ts takes nothing else. */
export function parseAllowedTypes(list: readonly string[]): AllowedTypes {
  const listed = list.map((item) => item.trim().toLowerCase()).filter((item) => item !== "");
  const all = listed.some((item) => item === "*" || item === "*/*");
  const prefixes = listed.filter((item) => item.endsWith("/*")).map((item) => item.slice(0, -1));
  const types = new Set(listed.map(canonicalType));
  return {
    listed,
    allows: (mimeType) =>
      all || types.has(mimeType) ||
      prefixes.some((prefix) => mimeType.startsWith(prefix)),
  };
}

/** One spelling a type, without parameters; undefined for what says nothing. */
export function claimedType(declared: string | undefined): string | undefined {
  const type = canonicalType(
    declared?.split(";", 1)[0]?.trim().toLowerCase() ?? "",
  );
  return TYPE.test(type) && !SAYS_NOTHING.has(type) ? type : undefined;
}

const SAYS_NOTHING = new Set([
  "application/octet-stream",
  "binary/octet-stream",
  "application/x-binary",
  "application/download",
  "application/force-download",
  "application/x-download",
]);

const SPELLINGS: Record<string, string> = {
  "application/x-pdf": "application/pdf",
  "application/x-zip-compressed": "application/zip",
  "application/x-zip": "application/zip",
  "application/x-gzip": "application/gzip",
  "application/x-bzip": "application/x-bzip2",
  "application/vnd.rar": "application/x-rar-compressed",
  "application/x-rar": "application/x-rar-compressed",
  "application/x-tgz": "application/gzip",
  "application/x-gtar": "application/x-tar",
  "application/xml": "text/xml",
  "application/xhtml+xml": "text/html",
  "text/rtf": "application/rtf",
  "text/x-markdown": "text/markdown",
  "image/jpg": "image/jpeg",
  "image/pjpeg": "image/jpeg",
  "image/x-png": "image/png",
  "image/x-ms-bmp": "image/bmp",
  "image/vnd.microsoft.icon": "image/x-icon",
  "audio/mp3": "audio/mpeg",
  "audio/x-mp3": "audio/mpeg",
  "audio/x-wav": "audio/wav",
  "audio/wave": "audio/wav",
  "audio/vnd.wave": "audio/wav",
  "audio/x-flac": "audio/flac",
  "audio/x-m4a": "audio/mp4",
  "audio/m4a": "audio/mp4",
  "audio/x-aac": "audio/aac",
  "audio/x-aiff": "audio/aiff",
  "audio/opus": "audio/ogg",
  "audio/x-mpegurl": "application/vnd.apple.mpegurl",
  "audio/mpegurl": "application/vnd.apple.mpegurl",
  "video/x-m4v": "video/mp4",
  "video/matroska": "video/x-matroska",
  "video/msvideo": "video/x-msvideo",
  "video/vnd.avi": "video/x-msvideo",
};

export function canonicalType(type: string): string {
  return Object.hasOwn(SPELLINGS, type) ? SPELLINGS[type] ?? type : type;
}

const ARCHIVES = new Set([
  "application/zip",
  "application/gzip",
  "application/x-tar",
  "application/x-7z-compressed",
  "application/x-rar-compressed",
  "application/x-bzip2",
  "application/x-xz",
  "application/zstd",
  "application/x-lzip",
  "application/x-lz4",
  "application/x-compress",
  "application/x-lzh-compressed",
  "application/x-arj",
  "application/x-ace-compressed",
  "application/vnd.ms-cab-compressed",
]);

/** Text that is called something else. */
const TEXTUAL =
  /^application\/(?:(?:[a-z0-9.-]+\+)?(?:json|xml|yaml)|x-yaml|toml|sql|graphql|javascript|x-javascript|ecmascript|typescript|x-sh|x-csh|x-python|x-ruby|x-perl|x-php|x-httpd-php|x-tex|x-latex|x-ndjson|jsonlines|vnd\.apple\.mpegurl|x-subrip|mbox|n-triples|trig|pgp-keys|pgp-signature|pgp-encrypted)$/;

export function familyOf(mimeType: string): FileFamily {
  if (mimeType === "application/pdf") return "pdf";
  if (ARCHIVES.has(mimeType)) return "archive";
  if (TEXTUAL.test(mimeType)) return "text";
  const [top] = mimeType.split("/");
  return top === "image" || top === "video" || top === "audio" || top === "text" ? top : "other";
}

/** Documents that are a zip inside, and what one of its entries is called. */
export const PACKAGES: ReadonlyMap<string, RegExp> = new Map([
  [
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    /^word\//,
  ],
  [
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    /^xl\//,
  ],
  [
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    /^ppt\//,
  ],
  ["application/vnd.oasis.opendocument.text", /^content\.xml$/],
  ["application/vnd.oasis.opendocument.spreadsheet", /^content\.xml$/],
  ["application/vnd.oasis.opendocument.presentation", /^content\.xml$/],
  ["application/vnd.oasis.opendocument.graphics", /^content\.xml$/],
  ["application/epub+zip", /^META-INF\/container\.xml$/],
]);

/** Documents of the old Office, which are all one container. */
export const COMPOUND_DOCUMENTS: ReadonlySet<string> = new Set([
  "application/msword",
  "application/vnd.ms-excel",
  "application/vnd.ms-powerpoint",
  "application/vnd.ms-outlook",
  "application/vnd.visio",
]);

const BY_EXTENSION: Record<string, string> = {
  "image/png": "png apng",
  "image/jpeg": "jpg jpeg jpe jfif",
  "image/gif": "gif",
  "image/webp": "webp",
  "image/avif": "avif",
  "image/heic": "heic heif",
  "image/bmp": "bmp",
  "image/tiff": "tif tiff",
  "image/x-icon": "ico",
  "image/svg+xml": "svg",
  "audio/mpeg": "mp3",
  "audio/wav": "wav",
  "audio/ogg": "ogg oga opus",
  "audio/flac": "flac",
  "audio/mp4": "m4a",
  "audio/aac": "aac",
  "video/mp4": "mp4 m4v",
  "video/webm": "webm",
  "video/quicktime": "mov",
  "video/x-matroska": "mkv",
  "video/x-msvideo": "avi",
  "application/pdf": "pdf",
  "application/rtf": "rtf",
  "application/zip": "zip",
  "application/gzip": "gz tgz",
  "application/x-tar": "tar",
  "text/plain": "txt text log",
  "text/csv": "csv",
  "text/tab-separated-values": "tsv",
  "text/markdown": "md markdown",
  "text/html": "html htm xhtml",
  "text/xml": "xml",
  "text/calendar": "ics",
  "text/vcard": "vcf",
  "application/json": "json ipynb",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
  "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
  "application/vnd.oasis.opendocument.text": "odt",
  "application/vnd.oasis.opendocument.spreadsheet": "ods",
  "application/vnd.oasis.opendocument.presentation": "odp",
  "application/vnd.oasis.opendocument.graphics": "odg",
  "application/epub+zip": "epub",
  "application/msword": "doc",
  "application/vnd.ms-excel": "xls",
  "application/vnd.ms-powerpoint": "ppt",
  "application/vnd.ms-outlook": "msg",
};
const TYPES = new Map(
  Object.entries(BY_EXTENSION).flatMap(([type, names]) =>
    names.split(" ").map((name) => [name, type] as const)
  ),
);

/** What an extension claims, where it is well known. */
export function typeOfExtension(extension: string): string | undefined {
  return TYPES.get(extension);
}
