/**
 * Clean files of many kinds. Small ones are made here; recordings and compressed pictures were made with real tools
 * (ffmpeg, avifenc) and lie in tests/data/files.
 */
import { crc32, deflateSync } from "node:zlib";
import { gzipOf, join, tarOf, zipOf } from "./archives.ts";

const FOLDER = new URL("../data/files/", import.meta.url);
const text = (content: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(content);

export interface Sample {
  name: string;
  /** As a browser declares it; undefined where it does not know. */
  declaredType: string | undefined;
  bytes: Uint8Array<ArrayBuffer>;
  /** As it is served. */
  mimeType: string;
  /** By CHAT_ALLOWED_FILE_TYPES as it is when nobody sets it. */
  allowedByDefault: boolean;
}

/** A PNG of 8 × 8. */
export function picture(): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, 8);
  new DataView(header.buffer).setUint32(4, 8);
  header.set([8, 2], 8);
  const pixels = new Uint8Array(8 * (1 + 8 * 3)).map((_, i) => i % 25 === 0 ? 0 : i * 7 % 256);
  return join([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    pngChunk("IHDR", header),
    pngChunk("IDAT", deflateSync(pixels)),
    pngChunk("IEND", new Uint8Array()),
  ]);
}

function pngChunk(type: string, data: Uint8Array): Uint8Array {
  const body = join([text(type), data]);
  const [length, crc] = [new Uint8Array(4), new Uint8Array(4)];
  new DataView(length.buffer).setUint32(0, data.length);
  new DataView(crc.buffer).setUint32(0, crc32(body));
  return join([length, body, crc]);
}

function bitmap(): Uint8Array<ArrayBuffer> {
  const file = new Uint8Array(54 + 16);
  const view = new DataView(file.buffer);
  file.set(text("BM"));
  [[2, 70], [10, 54], [14, 40], [18, 2], [22, 2], [34, 16]].forEach(([at = 0, value = 0]) =>
    view.setUint32(at, value, true)
  );
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  return file;
}

const icon = (): Uint8Array<ArrayBuffer> => {
  const image = picture();
  const size = new Uint8Array(4);
  new DataView(size.buffer).setUint32(0, image.length, true);
  return join([
    Uint8Array.of(0, 0, 1, 0, 1, 0, 8, 8, 0, 0, 1, 0, 24, 0),
    size,
    Uint8Array.of(22, 0, 0, 0),
    image,
  ]);
};

const gif = (): Uint8Array<ArrayBuffer> =>
  Uint8Array.fromBase64("R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==");

/** A second of silence. */
export function wave(seconds = 1): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(8_000 * seconds).fill(128);
  const header = new Uint8Array(44);
  const view = new DataView(header.buffer);
  header.set(text("RIFF"));
  header.set(text("WAVEfmt "), 8);
  header.set(text("data"), 36);
  [[4, 36 + data.length], [16, 16], [24, 8_000], [28, 8_000], [40, data.length]].forEach((
    [at = 0, value = 0],
  ) => view.setUint32(at, value, true));
  [[20, 1], [22, 1], [32, 1], [34, 8]].forEach(([at = 0, value = 0]) => view.setUint16(at, value, true));
  return join([header, data]);
}

const PDF = `%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj
trailer<</Root 1 0 R>>
%%EOF
`;

const utf16 = (content: string): Uint8Array<ArrayBuffer> =>
  join([Uint8Array.of(0xff, 0xfe), new Uint8Array(Uint16Array.from(content, (c) => c.charCodeAt(0)).buffer)]);

const OOXML = "application/vnd.openxmlformats-officedocument";

function office(kind: "word" | "xl" | "ppt", part: string, type: string): Uint8Array<ArrayBuffer> {
  return zipOf({
    "[Content_Types].xml": text(
      `<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override ` +
        `PartName="/${kind}/${part}" ContentType="${OOXML}.${type}.main+xml"/></Types>`,
    ),
    "_rels/.rels": text(`<?xml version="1.0"?><Relationships/>`),
    [`${kind}/${part}`]: text(`<?xml version="1.0"?><document/>`),
  });
}

const openDocument = (): Uint8Array<ArrayBuffer> =>
  zipOf([
    ["mimetype", { data: text("application/vnd.oasis.opendocument.text"), method: 0 }],
    ["content.xml", text("<office:document-content/>")],
    ["META-INF/manifest.xml", text("<manifest:manifest/>")],
  ]);

/** More than twenty, each as it comes from a browser. */
export function sampleFiles(): Sample[] {
  const sample = (
    name: string,
    declaredType: string | undefined,
    bytes: Uint8Array<ArrayBuffer>,
    mimeType: string,
    allowedByDefault = true,
  ): Sample => ({ name, declaredType, bytes, mimeType, allowedByDefault });
  const recorded = (name: string, declaredType: string, mimeType = declaredType): Sample =>
    sample(name, declaredType, Deno.readFileSync(new URL(name, FOLDER)), mimeType);
  const document = {
    word: "wordprocessingml.document",
    xl: "spreadsheetml.sheet",
    ppt: "presentationml.presentation",
  };
  return [
    sample("a.png", "image/png", picture(), "image/png"),
    recorded("a.jpg", "image/jpeg"),
    sample("a.gif", "image/gif", gif(), "image/gif"),
    recorded("a.webp", "image/webp"),
    recorded("a.avif", "image/avif"),
    sample("a.bmp", "image/bmp", bitmap(), "image/bmp"),
    sample("a.ico", "image/vnd.microsoft.icon", icon(), "image/x-icon"),
    sample("a.svg", "image/svg+xml", text('<svg xmlns="http://www.w3.org/2000/svg"/>'), "image/svg+xml"),
    recorded("a.mp3", "audio/mpeg"),
    sample("a.wav", "audio/x-wav", wave(), "audio/wav"),
    recorded("a.ogg", "audio/ogg"),
    recorded("a.flac", "audio/x-flac", "audio/flac"),
    recorded("a.m4a", "audio/x-m4a", "audio/mp4"),
    recorded("voice.webm", "audio/webm;codecs=opus", "audio/webm"),
    recorded("a.mp4", "video/mp4"),
    recorded("a.webm", "video/webm"),
    sample("a.pdf", "application/pdf", text(PDF), "application/pdf"),
    sample("a.txt", "text/plain", text("Grüße, 世界 👋\n"), "text/plain"),
    sample("utf16.txt", "text/plain", utf16("Grüße\r\n"), "text/plain"),
    sample(
      "latin1.csv",
      "text/csv",
      Uint8Array.from("Name;Gr\xf6\xdfe\r\n", (c) => c.charCodeAt(0)),
      "text/csv",
    ),
    sample("a.csv", "application/vnd.ms-excel", text("name,grade\nAda,1\n"), "text/csv"),
    sample("a.md", undefined, text("# Title\n\n<b>bold</b>\n"), "text/markdown"),
    sample("a.json", "application/json", text('{"a":[1]}\n'), "text/plain"),
    sample("a.ts", "video/mp2t", text("export const a: number = 1;\n"), "text/plain"),
    sample("a.html", "text/html", text("<!doctype html><title>a</title>"), "text/html"),
    sample(
      "a.docx",
      `${OOXML}.${document.word}`,
      office("word", "document.xml", document.word),
      `${OOXML}.${document.word}`,
      false,
    ),
    sample(
      "a.xlsx",
      `${OOXML}.${document.xl}`,
      office("xl", "workbook.xml", document.xl),
      `${OOXML}.${document.xl}`,
      false,
    ),
    sample(
      "a.pptx",
      `${OOXML}.${document.ppt}`,
      office("ppt", "presentation.xml", document.ppt),
      `${OOXML}.${document.ppt}`,
      false,
    ),
    sample(
      "a.odt",
      "application/vnd.oasis.opendocument.text",
      openDocument(),
      "application/vnd.oasis.opendocument.text",
      false,
    ),
    sample(
      "a.zip",
      "application/x-zip-compressed",
      zipOf({ "a.txt": text("hello") }),
      "application/zip",
      false,
    ),
    sample("a.txt.gz", "application/gzip", gzipOf(text("hello")), "application/gzip", false),
    sample("a.tar", "application/x-tar", tarOf({ "a.txt": text("hello") }), "application/x-tar", false),
    sample(
      "a.tar.gz",
      "application/x-gzip",
      gzipOf(tarOf({ "a.txt": text("hello") })),
      "application/gzip",
      false,
    ),
  ];
}
