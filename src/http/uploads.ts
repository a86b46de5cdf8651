/**
 * Files on their way in: the route that uploads one, and the form in which a message brings its files along. Whether a
 * body is read at all is decided before its first byte; what a file may be, and what becomes of it, in chat/uploads.ts.
 */
import type { Context } from "hono";
import type { Actor } from "../chat/actor.ts";
import { parseInput } from "../chat/commands.ts";
import type { UploadSession } from "../chat/upload_session.ts";
import type { Uploads } from "../chat/uploads.ts";
import { ChatError, invalidField } from "../protocol/errors.ts";
import { fileDetails, uploadTarget } from "../protocol/file_commands.ts";
import type { JsonText } from "../protocol/json_text.ts";
import { ATTACHMENTS_MAX } from "../protocol/limits.ts";
import { type FieldTypes, fieldTypes, readText } from "./text_input.ts";
import { isForm, type Part, readForm } from "./form.ts";

const DETAILS = fieldTypes(fileDetails);
const TARGET = fieldTypes(uploadTarget);
const isDetail = (name: string): boolean => DETAILS.has(name);
/** Of a form, beside what it holds. */
const FORM_BYTES = 64 * 1024;

export interface UploadUses {
  /** Undefined: there is no place for files, or nothing that could scan them. */
  uploads: Uploads | undefined;
  /** Of all fields of a form. */
  maxBodyBytes: number;
}

/** POST /files: one file, its room named in the query or in a field before it. */
export async function uploadFile(c: Context, actor: Actor, uses: UploadUses): Promise<JsonText> {
  await using session = beginSession(actor, uses);
  if (!isForm(c.req.raw)) throw new ChatError("unsupported_media_type", "Expected multipart/form-data");
  const fields = new Fields(c.req.queries());
  await readFiles(c, session, uses, { files: 1, field: "file", fields });
  const [file] = session.files;
  if (file === undefined) throw invalidField("file", "Expected a file");
  fields.input(new Map()); // nothing may be left over
  return session.keep();
}

/** A message as a form: its files are uploaded, then it is sent with them; if it is not, they go again. */
export async function sendForm(
  c: Context,
  actor: Actor,
  uses: UploadUses & { types: FieldTypes; run: (input: unknown) => Promise<JsonText> },
): Promise<JsonText> {
  await using session = beginSession(actor, uses);
  const fields = new Fields({});
  await readFiles(c, session, uses, { files: ATTACHMENTS_MAX, field: "attachments", fields });
  const { attachmentIds, ...input } = { ...fields.target(), ...fields.input(uses.types) };
  const named = Array.isArray(attachmentIds) ? attachmentIds : [];
  const ids = [...named, ...session.files.map(({ id }) => id)];
  return session.sentWith(await uses.run(ids.length === 0 ? input : { ...input, attachmentIds: ids }));
}

function beginSession(actor: Actor, { uploads }: UploadUses): UploadSession {
  if (uploads === undefined) {
    throw new ChatError("unavailable", "This server takes no files: it has no store or no scanner for them");
  }
  return uploads.begin(actor);
}

async function readFiles(
  c: Context,
  session: UploadSession,
  { maxBodyBytes }: UploadUses,
  form: { files: number; field: string; fields: Fields },
): Promise<void> {
  const { fields } = form;
  const limits = {
    files: form.files,
    fileBytes: session.maxBytes,
    fieldBytes: maxBodyBytes,
    bodyBytes: form.files * session.maxBytes + maxBodyBytes + FORM_BYTES,
  };
  const length = c.req.header("content-length");
  for await (const part of readForm(c.req.raw, limits)) {
    if (part.is === "field") fields.add(part.name, part.value);
    else {
      if (part.name !== form.field) {
        throw invalidField(part.name.slice(0, 64), `Expected files as ${form.field}`);
      }
      await session.receive(targetOf(fields), {
        ...fileOf(part, fields),
        bytesMax: length === undefined ? session.maxBytes : Number(length),
      }, c.req.raw.signal);
    }
  }
}

function fileOf(part: Extract<Part, { is: "file" }>, fields: Fields) {
  const { kind, durationMs, waveform } = parseInput(fileDetails, fields.take(DETAILS));
  return {
    field: part.name,
    name: part.fileName,
    declaredType: part.declaredType,
    body: part.body,
    ...{ kind, durationMs, waveform },
  };
}

function targetOf(fields: Fields) {
  const { roomId, recipientId } = parseInput(uploadTarget, fields.target());
  if ((roomId === undefined) === (recipientId === undefined)) {
    throw invalidField("roomId", "Expected before the files: roomId or recipientId, one of them");
  }
  return { roomId, recipientId };
}

/** What came of a form so far; a null prototype would not do, for `__proto__` is a name like any other. */
class Fields {
  readonly #texts: Map<string, string[]>;

  constructor(query: Record<string, string[]>) {
    this.#texts = new Map(Object.entries(query));
  }

  add(name: string, value: string): void {
    const known = this.#texts.get(name);
    if (known === undefined) this.#texts.set(name, [value]);
    else known.push(value);
  }

  /** Those of the file that comes next. */
  take(types: FieldTypes): Record<string, unknown> {
    const taken = this.#read(types, isDetail);
    for (const name of types.keys()) this.#texts.delete(name);
    return taken;
  }

  target(): Record<string, unknown> {
    return this.#read(TARGET, (name) => TARGET.has(name));
  }

  /** All but the target. */
  input(types: FieldTypes): Record<string, unknown> {
    for (const name of this.#texts.keys()) {
      if (isDetail(name)) throw invalidField(name, "Expected before the file that it describes");
      if (types.size === 0 && !TARGET.has(name)) throw invalidField(name.slice(0, 64), "no such field");
    }
    return this.#read(types, (name) => !TARGET.has(name));
  }

  #read(types: FieldTypes, wanted: (name: string) => boolean): Record<string, unknown> {
    return Object.fromEntries(
      [...this.#texts].filter(([name]) => wanted(name)).map((
        [name, texts],
      ) => [name, readText(types, name, texts)]),
    );
  }
}
