/** Files made and joined: what takes them in, gives them out, scans them and takes them away. */
import { FileCollector } from "../chat/file_collector.ts";
import { Files } from "../chat/files.ts";
import type { RoomRules } from "../chat/room_rules.ts";
import { Scanning } from "../chat/scanning.ts";
import { UploadPlaces } from "../chat/upload_places.ts";
import { Uploads } from "../chat/uploads.ts";
import type { Config } from "../config.ts";
import type { Hub } from "../delivery/hub.ts";
import { Antivirus } from "../files/antivirus.ts";
import type { FileStore } from "../files/file_store.ts";
import { parseAllowedTypes } from "../files/media_types.ts";
import type { Log } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { Database } from "../store/database.ts";

export interface FileUses {
  config: Config;
  metrics: Metrics;
  db: Database;
  hub: Hub;
  rules: RoomRules;
  store: FileStore | undefined;
  log: Log;
}

export interface FileParts {
  files: Files;
  /** Undefined: no files are taken. */
  uploads: Uploads | undefined;
  collector: FileCollector | undefined;
}

/**
 * Bodies under way at once: of the node, and of one user, so that nobody takes all places. A bucket takes parts of 5 MiB at
 * least, which wait in memory.
 */
const PLACES = { local: { max: 16, maxOfUser: 4 }, s3: { max: 10, maxOfUser: 4 } };
const SCANS = { concurrency: 4, timeoutMs: 30_000 };

export function makeFiles(uses: FileUses, parts: AsyncDisposableStack): FileParts {
  const { config, metrics, db, hub, rules, store, log } = uses;
  const { scanning, allowedTypes, maxBytes, quotaBytes } = config.files;
  const allowed = parseAllowedTypes(allowedTypes);
  const collector = store === undefined ? undefined : parts.use(new FileCollector({ db, files: store, log }));
  const removeSoon = () => collector?.wake();
  const files = new Files({ db, hub, store, publicUrl: config.http.publicUrl, onDropped: removeSoon });
  if (store === undefined || scanning.is === "missing") {
    log.warn("uploads.off", {
      text: store === undefined
        ? "No S3_BUCKET and no FILES_DIR: files are not taken"
        : "No CLAMAV_REST_URL, and CHAT_ENABLE_VIRUS_SCANNING is not false: files are not taken",
    });
    return { files, uploads: undefined, collector };
  }
  if (scanning.is === "off") {
    log.warn("uploads.not_scanned", {
      text: "Files are NOT scanned for viruses: whatever is uploaded is served",
    });
  }
  if (store.kind === "local" && config.bus.is !== "memory") {
    log.warn("uploads.local", {
      text: "FILES_DIR is a folder of this node: other nodes have none of its files",
    });
  }
  const scanner = scanning.is === "off" ? undefined : parts.use(
    new Scanning({
      ...{ db, hub, log, metrics, files: store, onUnsafe: removeSoon },
      concurrency: SCANS.concurrency,
      antivirus: new Antivirus({ url: scanning.url, ...SCANS }, log),
    }),
  );
  const uploads = new Uploads({
    ...{ rules, log, allowed, maxBytes, quotaBytes, files: store },
    places: new UploadPlaces(PLACES[store.kind]),
    scanning: scanner !== undefined,
    onPending: () => scanner?.wake(),
  });
  return { files, uploads, collector };
}
