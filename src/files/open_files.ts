/** The store that the configuration names. */
import type { Log } from "../log.ts";
import type { FileStore } from "./file_store.ts";
import { LocalFiles } from "./local_files.ts";

/** For config/: keep it in this shape. */
export type FileStoreConfig =
  | { readonly is: "local"; readonly folder: string }
  | {
    readonly is: "s3";
    /** Tigris: https://fly.storage.tigris.dev */
    readonly endpoint: string;
    readonly bucket: string;
    /** `auto` for Tigris and R2. */
    readonly region: string;
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    /** Of keys: several deployments may share a bucket. Empty, or ends in a slash. */
    readonly prefix: string;
    /** endpoint/bucket/key instead of bucket.endpoint/key. */
    readonly pathStyle: boolean;
  };

export function openFiles(config: FileStoreConfig, _log: Log): Promise<FileStore> {
  return config.is === "local"
    ? LocalFiles.open(config.folder)
    : Promise.reject(new TypeError("S3 is not built yet"));
}
