/** The store that the configuration names. */
import type { Log } from "../log.ts";
import type { FileStore } from "./file_store.ts";
import { LocalFiles } from "./local_files.ts";
import { S3Files, type S3FilesOptions } from "./s3_files.ts";

/** Tigris: endpoint https://fly.storage.tigris.dev, region auto. */
export type FileStoreConfig =
  | { readonly is: "local"; readonly folder: string }
  | {
    readonly is: "s3";
  } & S3FilesOptions;

/** A bucket out of reach is no fault: the node starts, and finds it later. */
export async function openFiles(config: FileStoreConfig, log: Log): Promise<FileStore> {
  return config.is === "local" ? await LocalFiles.open(config.folder) : new S3Files(config, log);
}
