/** Tokens at every door: which are taken, which are not, and that neither their text nor their header decides. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { exportSPKI, UnsecuredJWT } from "jose";
import { type Door, DOOR_NAMES, type Json, refusalOf, startDoors } from "../helpers/doors.ts";
import { JWT_SECRET, signToken } from "../helpers/test_app.ts";
import { connectSocket } from "../helpers/test_socket.ts";
import { atEveryDoor } from "../suites/door_suite.ts";
import { clockAhead, KeyServer, newKey, sign, withAlgorithm } from "../suites/key_server.ts";

const SECRET = { alg: "HS256", privateKey: new TextEncoder().encode(JWT_SECRET) };
const now = (): number => Math.floor(Date.now() / 1000);

async function enters(door: Door, token: string): Promise<void> {
  const client = await door.enter(token);
  await client.call("list_rooms");
}

async function refused(door: Door, token: string): Promise<{ code: string; claim?: string }> {
  const { code, body } = await refusalOf(door.enter(token));
  return { code, ...(body.details?.claim === undefined ? {} : { claim: body.details.claim }) };
}

atEveryDoor("a token that is expired, not yet valid, forged or lacks a claim is refused", async (door) => {
  const stranger = {
    alg: "HS256",
    privateKey: new TextEncoder().encode("another secret of more than 32 bytes."),
  };
  const cases: [string, Promise<string> | string, { code: string; claim?: string }][] = [
    ["expired", sign(SECRET, { sub: "ada", exp: now() - 60 }), { code: "token_expired" }],
    ["not yet valid", sign(SECRET, { sub: "ada", nbf: now() + 120 }), {
      code: "unauthenticated",
      claim: "nbf",
    }],
    ["of another secret", sign(stranger, { sub: "ada" }), { code: "unauthenticated" }],
    ["unsigned", new UnsecuredJWT({ sub: "ada" }).setExpirationTime("1h").encode(), {
      code: "unauthenticated",
    }],
    ["without exp", sign(SECRET, { sub: "ada", exp: undefined }), { code: "unauthenticated", claim: "exp" }],
    ["without sub", sign(SECRET, {}), { code: "unauthenticated", claim: "sub" }],
    ["exp of text", sign(SECRET, { sub: "ada", exp: `${now() + 60}` }), {
      code: "unauthenticated",
      claim: "exp",
    }],
    ["sub of a number", sign(SECRET, { sub: 7 }), { code: "unauthenticated", claim: "sub" }],
    ["sub of nothing", sign(SECRET, { sub: "" }), { code: "unauthenticated", claim: "sub" }],
    ["sub of 129", sign(SECRET, { sub: "x".repeat(129) }), { code: "unauthenticated", claim: "sub" }],
    ["sub with a NUL", sign(SECRET, { sub: "a\u0000b" }), { code: "unauthenticated", claim: "sub" }],
    ["sub with a control", sign(SECRET, { sub: "a\u0007b" }), { code: "unauthenticated", claim: "sub" }],
    ["sub with a newline", sign(SECRET, { sub: "a\nb" }), { code: "unauthenticated", claim: "sub" }],
    ["sub of half a pair", sign(SECRET, { sub: "a\ud800" }), { code: "unauthenticated", claim: "sub" }],
    ["an unknown role", sign(SECRET, { sub: "ada", role: "root" }), {
      code: "unauthenticated",
      claim: "role",
    }],
    ["courses of text", sign(SECRET, { sub: "ada", courses: "greek" }), {
      code: "unauthenticated",
      claim: "courses",
    }],
    ["not a token", "x", { code: "unauthenticated" }],
    ["two dots", "..", { code: "unauthenticated" }],
    ["JSON", '{"sub":"ada"}', { code: "unauthenticated" }],
  ];
  const good = await sign(SECRET, { sub: "ada" });
  const [header, payload, signature] = good.split(".") as [string, string, string];
  const forged = new TextEncoder().encode(JSON.stringify({ sub: "root", role: "admin", exp: now() + 60 }));
  cases.push(
    ["without its signature", `${header}.${payload}.`, { code: "unauthenticated" }],
    ["cut", good.slice(0, -3), { code: "unauthenticated" }],
    [
      "with another payload",
      `${header}.${forged.toBase64({ alphabet: "base64url", omitPadding: true })}.${signature}`,
      {
        code: "unauthenticated",
      },
    ],
  );
  for (const [name, token, wanted] of cases) deepStrictEqual(await refused(door, await token), wanted, name);
  await enters(door, good);
});

atEveryDoor("odd users and claims that are valid are taken as they are", async (door) => {
  for (
    const sub of [
      "🕊",
      "x".repeat(128),
      "🕊".repeat(128),
      "auth0|5f7c8ec7c33c6c004bbafe82",
      "a b/c?d#e%f",
      "__proto__",
      "'",
    ]
  ) {
    const token = await signToken(sub, { name: sub });
    await enters(door, token);
    const ear = await door.ear(sub);
    const { room } = await ear.call("create_room", { name: "mine" });
    deepStrictEqual([room.createdBy, (await ear.next("hello")).userId], [sub, sub]);
  }
  const odd: Json[] = [
    { iat: 1e300 },
    { iat: -1e300 },
    { iat: now() + 10_000 },
    { iat: undefined },
    { exp: 1e300 },
    { name: "" },
    { name: " \u0000\u0007\ud800\n\t " },
    { name: "🕊".repeat(500) },
    { picture: "javascript:alert(1)" },
    { picture: "http://a/\u0000b\ud800" },
    { picture: 7 },
    { courses: ["a\u0000b", "\ud800", "__proto__"] },
    { aud: ["x", "y"], iss: "whoever", jti: "7", extra: { deep: [[[]]] } },
  ];
  for (const [i, claims] of odd.entries()) {
    await enters(door, await sign(SECRET, { sub: `odd${i}`, ...claims }));
  }
});

atEveryDoor("the profile that others see is cleaned, and an empty name is the id", async (door, doors) => {
  const ada = await doors.rest.as("ada");
  const { room } = await ada.call("create_room", { name: "all" });
  const seen = async (claims: Json): Promise<Json> => {
    const client = await door.enter(await sign(SECRET, claims));
    await client.call("join_room", { roomId: room.id });
    const { members } = await ada.call("list_members", { roomId: room.id });
    const { name, avatarUrl } = members.find(({ userId }: Json) => userId === claims.sub);
    return [name, avatarUrl];
  };
  deepStrictEqual(await seen({ sub: "b", name: " Bob\n\u0000B. ", picture: "https://x.org/b.png" }), [
    "Bob B.",
    "https://x.org/b.png",
  ]);
  deepStrictEqual(await seen({ sub: "c", name: "\u0007 ", picture: "javascript:alert(1)" }), ["c", null]);
  deepStrictEqual(await seen({ sub: "d", picture: "https://x.org/\u0000" }), ["d", null]);
  strictEqual((await seen({ sub: "e", name: `${"x".repeat(99)}🕊` }))[0].isWellFormed(), true);
});

atEveryDoor("issuer and audience must be those that are configured", async (door) => {
  const right = { sub: "ada", iss: "https://id.scroll.test", aud: "chat" };
  await enters(door, await sign(SECRET, right));
  await enters(door, await sign(SECRET, { ...right, aud: ["other", "chat"] }));
  for (
    const [claim, value] of [["iss", "https://evil.test"], ["iss", undefined], ["aud", "mail"], [
      "aud",
      undefined,
    ]] as const
  ) {
    deepStrictEqual(await refused(door, await sign(SECRET, { ...right, [claim]: value })), {
      code: "unauthenticated",
      claim,
    });
  }
}, { env: { JWT_ISSUER: "https://id.scroll.test", JWT_AUDIENCE: "chat" } });

for (const name of DOOR_NAMES) {
  Deno.test(`${name}: a key set's tokens are taken by their kid, and no key or algorithm of the token's own choice`, async () => {
    const [rsa, ec, ed, evil] = await Promise.all([
      newKey("one", "RS256"),
      newKey("two", "ES256"),
      newKey("three", "EdDSA"),
      newKey("one", "RS256"),
    ]);
    const { alg: _, ...jwk } = { ...rsa.jwk, kid: "four" };
    const open = { ...rsa, kid: "four", jwk }; // a key that fits several algorithms
    await using server = new KeyServer([rsa, ec, ed, open]);
    await using doors = await startDoors({ env: { JWT_SECRET: "", JWT_JWKS_URL: server.url } });
    const door = doors[name];
    for (const key of [rsa, ec, ed, open]) await enters(door, await sign(key, { sub: key.alg }));
    strictEqual(server.fetches, 1);

    const pem = await exportSPKI(rsa.publicKey);
    const asSecret = (text: string) => ({
      alg: "HS256",
      kid: "one",
      privateKey: new TextEncoder().encode(text),
    });
    const header = { jwk: evil.jwk, jku: server.url, x5u: server.url };
    const forged: Record<string, string> = {
      "HS256 with the public key as PEM": await sign(asSecret(pem), { sub: "root" }),
      "HS256 with the public key as JWK": await sign(asSecret(JSON.stringify(rsa.jwk)), { sub: "root" }),
      "HS256 with the secret of development": await sign(SECRET, { sub: "root" }),
      "another key under a known kid": await sign(evil, { sub: "root" }),
      "a key that the token brings": await sign(evil, { sub: "root" }, header),
      "a kid of another type": await sign({ ...rsa, kid: "two" }, { sub: "root" }),
      "an algorithm that is not configured": await sign(await withAlgorithm(open, "RS512"), { sub: "root" }),
      "another that is not configured": await sign(await withAlgorithm(open, "PS256"), { sub: "root" }),
      "a critical header nobody knows": await sign(rsa, { sub: "root" }, { crit: ["urn:x"], "urn:x": 1 }),
      "none": new UnsecuredJWT({ sub: "root" }).setExpirationTime("1h").encode(),
      "a kid that is a name of every object": await sign({ ...evil, kid: "__proto__" }, { sub: "root" }),
    };
    for (const [what, token] of Object.entries(forged)) {
      deepStrictEqual(await refused(door, token), { code: "unauthenticated" }, what);
    }
    strictEqual(server.fetches, 1, "strangers cannot make us ask the provider again and again");
  });

  Deno.test(`${name}: a rotated key set is fetched again, and one that cannot be had is our failure, not the token's`, async () => {
    const [old, fresh] = await Promise.all([newKey("old", "ES256"), newKey("fresh", "EdDSA")]);
    await using server = new KeyServer([old]);
    await using doors = await startDoors({ env: { JWT_SECRET: "", JWT_JWKS_URL: server.url } });
    const door = doors[name];
    const faults: (() => Response)[] = [
      () => new Response("down", { status: 500 }),
      () => new Response("<html>"),
      () => Response.json({ keys: "none" }),
    ];
    for (const fault of faults) {
      server.answer = fault;
      deepStrictEqual(await refused(door, await sign(old, { sub: "ada" })), { code: "unavailable" });
    }
    server.answer = undefined;
    await enters(door, await sign(old, { sub: "ada" }));
    server.keys = [fresh];
    deepStrictEqual(await refused(door, await sign(fresh, { sub: "ada" })), { code: "unauthenticated" });
    using _later = clockAhead(11_000);
    await enters(door, await sign(fresh, { sub: "ada" }));
    deepStrictEqual(await refused(door, await sign(old, { sub: "ada" })), { code: "unauthenticated" });
  });
}

Deno.test("a token in the query string is not looked at, and no token reaches the log", async () => {
  const lines: string[] = [];
  await using doors = await startDoors({ onLog: (line) => void lines.push(line) });
  const token = await doors.app.tokenFor("canary");
  for (const query of [`token=${token}`, `access_token=${token}`, `authorization=Bearer%20${token}`]) {
    const response = await fetch(`${doors.app.url}/api/chat/rooms?${query}`);
    const { error } = await response.json();
    deepStrictEqual([response.status, error.code], [401, "unauthenticated"]);
    strictEqual(response.headers.get("www-authenticate"), "Bearer");

    const socket = await connectSocket(`${doors.app.url}/ws?${query}&x=`, undefined);
    await refusalOf(socket.call("list_rooms"));
    deepStrictEqual(socket.pushes, []);
    await socket.close();
  }
  const client = await doors.socket.enter(token);
  await client.call("list_rooms");
  await refusalOf(doors.rest.enter(`${token}x`));
  const signature = token.split(".")[2] ?? "";
  ok(signature.length > 20);
  deepStrictEqual(lines.filter((line) => line.includes(signature)), []);
});

Deno.test("rest: only the Bearer scheme with one token is understood", async () => {
  await using doors = await startDoors();
  const token = await doors.app.tokenFor("ada");
  const status = async (authorization: string): Promise<number> => {
    const response = await fetch(`${doors.app.url}/api/chat/rooms`, { headers: { authorization } });
    await response.body?.cancel();
    return response.status;
  };
  for (const good of [`Bearer ${token}`, `bearer ${token}`, `BEARER ${token}`]) {
    strictEqual(await status(good), 200, good);
  }
  for (
    const bad of [
      token,
      `Basic ${token}`,
      `Bearer`,
      `Bearer ${token} x`,
      `Bearer ${token},Bearer ${token}`,
      `JWT ${token}`,
    ]
  ) {
    strictEqual(await status(bad), 401, bad);
  }
});
