import { deepStrictEqual } from "node:assert/strict";
import type { Message } from "../../src/protocol/models.ts";
import { checkSent, type Sent } from "../../bench/replay/sent_check.ts";
import { messageAt, sentAs } from "./logs.ts";

const messages = [1, 2, 3, 4].map((seq) => messageAt(seq));
const kindsOf = (sent: readonly Sent[], history: readonly Message[]): string[] =>
  checkSent(sent, history).map((fault) => fault.kind);

Deno.test("checkSent() finds nothing if every line stands in history as it was sent", () => {
  deepStrictEqual(kindsOf(messages.map(sentAs), messages), []);
});

Deno.test("checkSent() finds an acknowledged message that is not in history", () => {
  deepStrictEqual(kindsOf(messages.map(sentAs), messages.slice(1)), ["lost"]);
});

Deno.test("checkSent() expects nothing of a message that was never acknowledged, but finds its double", () => {
  const unsure = { ...sentAs(messageAt(4)), acked: undefined };
  deepStrictEqual(kindsOf([...messages.slice(0, 3).map(sentAs), unsure], messages.slice(0, 3)), []);
  const double = { ...messageAt(5), clientMessageId: "run-4" };
  deepStrictEqual(kindsOf([...messages.slice(0, 3).map(sentAs), unsure], [...messages, double]), ["doubled"]);
});

Deno.test("checkSent() finds what nobody sent, also under another's name", () => {
  deepStrictEqual(kindsOf(messages.slice(1).map(sentAs), messages), ["stranger"]);
  const stolen = messageAt(2, "text 2", "grace");
  deepStrictEqual(kindsOf([sentAs(messageAt(2))], [stolen]), ["lost", "stranger"]);
});

Deno.test("checkSent() finds other words, another parent, another ack", () => {
  const one = messageAt(1);
  deepStrictEqual(kindsOf([{ ...sentAs(one), content: "sent" }], [one]), ["different"]);
  deepStrictEqual(kindsOf([{ ...sentAs(one), replyToId: messageAt(9).id }], [one]), ["different"]);
  deepStrictEqual(kindsOf([{ ...sentAs(one), acked: messageAt(2) }], [one]), ["different"]);
  deepStrictEqual(kindsOf([sentAs(one)], [{ ...one, isDeleted: true }]), ["different"]);
});

Deno.test("checkSent() holds a sender to its order, but not a message that was tried again", () => {
  const swapped = messages.map(sentAs);
  const [first, second] = [messageAt(1, "text 2"), messageAt(2, "text 1")];
  const history = [{ ...first, clientMessageId: "run-2" }, { ...second, clientMessageId: "run-1" }];
  const sent = swapped.slice(0, 2).map((one, i) => ({ ...one, acked: history[1 - i]! }));
  deepStrictEqual(kindsOf(sent, history), ["sender_order"]);
  deepStrictEqual(kindsOf(sent.map((one, i) => ({ ...one, tries: 2 - i })), history), []);
});
