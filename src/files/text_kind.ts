/**
 * Whether bytes are text, in which encoding, and whether a browser would take the text for markup. Text is what holds
 * no control characters but those of layout: a program or an archive never passes.
 */

export type Charset = "utf-8" | "utf-16le" | "utf-16be";

export interface TextKind {
  /** Unknown for one byte a character, as spreadsheets still export. */
  charset: Charset | undefined;
  /** Of the head; what is cut off at its end is missing. */
  text: string;
  markup: "html" | "svg" | "xml" | undefined;
}

/** Tab, line feed, vertical tab, form feed, carriage return and escape are layout. */
// deno-lint-ignore no-control-regex -- they are what is looked for
const CONTROL = /[\0-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffe\uffff]/;
/** How browsers guess HTML: one of these tags first. */
const HTML =
  /^<(?:!doctype html|html|head|body|script|style|title|iframe|h1|div|font|table|a|b|br|p|img|form|meta|link|base|object|embed)(?=[\s/>])/i;

/** `whole`: the head is all there is, so that a cut character is a fault. */
export function textIn(head: Uint8Array, whole: boolean): TextKind | undefined {
  const charset = charsetOf(head);
  const isUtf32 = charset === "utf-16le" && head[2] === 0 && head[3] === 0;
  if (isUtf32) return undefined;
  let text: string;
  try {
    text = new TextDecoder(charset, { fatal: true }).decode(head, {
      stream: !whole,
    });
  } catch {
    return undefined;
  }
  return CONTROL.test(text) ? undefined : { charset, text, markup: markupIn(text) };
}

/** Text in an encoding that we cannot name; only for what is also claimed to be text. */
export function legacyTextIn(head: Uint8Array): TextKind | undefined {
  const text = new TextDecoder("windows-1252").decode(head);
  return CONTROL.test(text) ? undefined : { charset: undefined, text, markup: markupIn(text) };
}

function charsetOf(head: Uint8Array): Charset {
  if (head[0] === 0xff && head[1] === 0xfe) return "utf-16le";
  if (head[0] === 0xfe && head[1] === 0xff) return "utf-16be";
  return "utf-8";
}

function markupIn(text: string): TextKind["markup"] {
  const start = text.trimStart();
  if (!start.startsWith("<")) return undefined;
  if (
    /<svg[\s/>]/i.test(start) && /^<(?:svg|\?xml|!doctype svg|!--)/i.test(start)
  ) return "svg";
  if (
    HTML.test(start) ||
    (start.startsWith("<!--") &&
      /<(?:html|script|body|head)[\s/>]/i.test(start))
  ) {
    return "html";
  }
  if (/^<\?xml[\s?]/i.test(start) && /<html[\s/>]/i.test(start)) return "html";
  return /^<(?:\?xml[\s?]|!--|!doctype)/i.test(start) ? "xml" : undefined;
}
