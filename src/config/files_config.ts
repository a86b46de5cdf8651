/** Files: how large, of what types, where they lie, and what scans them. */
import type { EnvironmentReader } from "./environment.ts";

export type FileStoreConfig = { readonly is: "local"; readonly folder: string } | {
  readonly is: "s3";
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of keys: several deployments may share a bucket. */
  readonly prefix: string;
  readonly pathStyle: boolean;
};

/** missing: files should be scanned, but nothing is there to do it, so none are taken. */
export type ScanningConfig = { readonly is: "off" } | { readonly is: "missing" } | {
  readonly is: "clamav";
  readonly url: string;
};

export interface FilesConfig {
  readonly maxBytes: number;
  readonly allowedTypes: readonly string[];
  /** Of one user in a day. */
  readonly quotaBytes: number;
  /** Undefined: no files are taken. */
  readonly store: FileStoreConfig | undefined;
  readonly scanning: ScanningConfig;
}

const TYPES = ["image/*", "application/pdf", "text/*", "video/*", "audio/*"];
const TYPE = /^(\*|\*\/\*|[a-z0-9][\w!#$&^.+-]*\/(\*|[a-z0-9][\w!#$&^.+-]*))$/i;
const GIB = 1024 * 1024 * 1024;

/** `folder`: where files lie unless something else is said. */
export function readFiles(
  from: EnvironmentReader,
  { folder, isDevelopment }: { folder: string | undefined; isDevelopment: boolean },
): FilesConfig {
  return {
    maxBytes: from.integer("CHAT_MAX_ATTACHMENT_SIZE", 10 * 1024 * 1024, 1, 5 * GIB),
    allowedTypes: from.list("CHAT_ALLOWED_FILE_TYPES", TYPES, {
      fits: (item) => TYPE.test(item),
      like: "image/png, image/* or *",
    }),
    quotaBytes: from.integer("CHAT_UPLOAD_QUOTA_PER_DAY", GIB, 0, 1_000 * GIB),
    store: readStore(from, folder),
    scanning: readScanning(from, isDevelopment),
  };
}

/** Names of Tigris as Fly.io sets them, and of AWS' own tools, are understood too. */
function readStore(from: EnvironmentReader, fallback: string | undefined): FileStoreConfig | undefined {
  const bucket = from.optional("S3_BUCKET") ?? from.optional("BUCKET_NAME");
  const folder = from.optional("FILES_DIR");
  if (bucket === undefined) {
    const chosen = folder ?? fallback;
    return chosen === undefined ? undefined : { is: "local", folder: chosen };
  }
  if (folder !== undefined) from.fault("FILES_DIR", "and S3_BUCKET are both set: keep one");
  const endpoint = from.url("S3_ENDPOINT", ["https:", "http:"]) ??
    from.url("AWS_ENDPOINT_URL_S3", ["https:", "http:"]);
  const needed = (name: string, value: string | undefined): string => {
    if (value === undefined) from.fault(name, "is missing beside S3_BUCKET");
    return value ?? "";
  };
  const prefix = from.optional("S3_PREFIX")?.replace(/^\/+|\/+$/g, "") ?? "";
  return {
    is: "s3",
    bucket,
    endpoint: needed("S3_ENDPOINT", endpoint),
    region: from.optional("S3_REGION") ?? from.optional("AWS_REGION") ?? "auto",
    accessKeyId: needed("AWS_ACCESS_KEY_ID", from.optional("AWS_ACCESS_KEY_ID")),
    secretAccessKey: needed("AWS_SECRET_ACCESS_KEY", from.optional("AWS_SECRET_ACCESS_KEY")),
    prefix: prefix === "" ? "" : `${prefix}/`,
    pathStyle: from.flag("S3_PATH_STYLE", false),
  };
}

/** Development has no scanner unless it is told of one. */
function readScanning(from: EnvironmentReader, isDevelopment: boolean): ScanningConfig {
  const url = from.url("CLAMAV_REST_URL", ["http:", "https:"]);
  const isWanted = from.flag("CHAT_ENABLE_VIRUS_SCANNING", url !== undefined || !isDevelopment);
  if (!isWanted) return { is: "off" };
  return url === undefined ? { is: "missing" } : { is: "clamav", url: url.replace(/\/+$/, "") };
}
