/**
 * Files on their way out: headers that make a browser show or store a file and never run it, ranges so that sound and
 * video can be sought in, conditions so that what a browser has is not sent again. Who may have the file: chat/files.ts.
 */
import type { Context } from "hono";
import type { Files, OpenFile } from "../chat/files.ts";
import { parseInput } from "../chat/commands.ts";
import { ChatError } from "../protocol/errors.ts";
import { linkQuery } from "../protocol/file_commands.ts";
import type { AttachmentId, UserId } from "../protocol/ids.ts";

/** Whoever the query's link was made for. */
export async function userOfLink(c: Context, files: Files, fileId: AttachmentId): Promise<UserId> {
  const query: Record<string, string> = {};
  for (const [name, [text, ...more]] of Object.entries(c.req.queries())) {
    if (more.length === 0 && text !== undefined) query[name] = text;
  }
  return await files.userOfLink(fileId, parseInput(linkQuery, query));
}

export async function sendFile(request: Request, file: OpenFile): Promise<Response> {
  const headers = new Headers({
    "accept-ranges": "bytes",
    "cache-control": "private, no-cache", // kept, but asked for again: who may have it can change
    "content-disposition": disposition(file),
    "content-security-policy": "sandbox; default-src 'none'",
    "content-type": file.charset === undefined ? file.mimeType : `${file.mimeType}; charset=${file.charset}`,
    "etag": file.etag,
    "vary": "authorization",
  });
  if (isKnown(request.headers.get("if-none-match"), file.etag)) {
    headers.delete("content-type");
    headers.delete("content-disposition");
    return new Response(null, { status: 304, headers });
  }
  const range = rangeOf(request, file);
  headers.set("content-length", String(range === undefined ? file.bytes : range.end - range.start));
  if (range !== undefined) {
    headers.set("content-range", `bytes ${range.start}-${range.end - 1}/${file.bytes}`);
  }
  const body = request.method === "HEAD" ? null : await file.read(range, request.signal);
  return new Response(body, { status: range === undefined ? 200 : 206, headers });
}

function isKnown(condition: string | null, etag: string): boolean {
  return condition !== null &&
    (condition.trim() === "*" ||
      condition.split(",").some((each) => each.trim().replace(/^W\//, "") === etag));
}

/** Undefined for all of it: no range, several of them, or one of an earlier version. Throws `range_not_satisfiable`. */
function rangeOf(request: Request, { bytes, etag }: OpenFile): { start: number; end: number } | undefined {
  const header = request.headers.get("range");
  const condition = request.headers.get("if-range");
  if (header === null || (condition !== null && condition !== etag)) return undefined;
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header.trim()) ?? [];
  if (first === "" && last === "") return undefined;
  const start = first === "" ? Math.max(0, bytes - Number(last)) : Number(first);
  const end = first === "" || last === "" ? bytes : Math.min(bytes, Number(last) + 1);
  if (first !== "" && last !== "" && Number(last) < start) return undefined;
  if (start >= end) throw new ChatError("range_not_satisfiable", undefined, { bytes });
  return { start, end };
}

/** RFC 6266: a name in ASCII for who knows no better, and the name itself. */
function disposition({ name, inline }: OpenFile): string {
  const plain = name.replace(/[^\x20-\x7e]|["\\%]/g, "_");
  const whole = encodeURIComponent(name).replace(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `${inline ? "inline" : "attachment"}; filename="${plain}"; filename*=UTF-8''${whole}`;
}
