/**
 * Calls of libc that Deno does not offer: who is at the other end of a file descriptor, which port of ours it came
 * to, how many bytes the kernel has received on it, how to end it at once, and how many descriptors are left. Linux
 * only; needs --allow-ffi of the library's path. Nothing here throws once it is open.
 */

export interface Libc {
  /** `address|port` of the peer of a TCP socket that is connected; undefined for any other descriptor. */
  peerOf(fd: number): string | undefined;
  localPortOf(fd: number): number | undefined;
  /** Of the connection's whole life, as the kernel counts them. */
  bytesReceived(fd: number): number;
  /** To the peer; true if the kernel took all of it at once. */
  send(fd: number, message: Uint8Array<ArrayBuffer>): boolean;
  isListening(fd: number): boolean;
  /** Of each connection that a listener accepts from now on, the kernel takes only so much ahead of us. */
  narrow(fd: number, bytes: number): void;
  /** Reset, now: both ends are told that it has ended, and what the kernel holds for it is freed. */
  cut(fd: number): void;
  /** How many descriptors the process may have, and the lowest number that is free: all below are in use. */
  descriptors(): { limit: number; lowestFree: number };
  close(): void;
}

/** Debian and its like, Fedora and its like, Alpine; deno.json allows exactly these. */
const PATHS = [
  "/lib/x86_64-linux-gnu/libc.so.6",
  "/lib/aarch64-linux-gnu/libc.so.6",
  "/lib64/libc.so.6",
  "/lib/libc.musl-x86_64.so.1",
  "/lib/libc.musl-aarch64.so.1",
];

const SYMBOLS = {
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

const AF_INET = 2;
const AF_INET6 = 10;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_ACCEPTCONN = 30;
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
/** tcpi_bytes_received of struct tcp_info, since Linux 4.1. */
const BYTES_RECEIVED_AT = 128;
const SHUT_RDWR = 2;
const MSG_DONTWAIT_NOSIGNAL = 0x4040;
const RLIMIT_NOFILE = 7;
/** The family 0 of connect(2): a TCP socket is reset and forgets whom it was connected to. */
const AF_UNSPEC = new Uint8Array(16);

/** Undefined where it cannot work: another system, or without the permission. */
export function openLibc(): Libc | undefined {
  if (Deno.build.os !== "linux") return undefined;
  for (const path of PATHS) {
    try {
      return wrap(Deno.dlopen(path, SYMBOLS));
    } catch {
      // the next one
    }
  }
  return undefined;
}

function wrap(library: Deno.DynamicLibrary<typeof SYMBOLS>): Libc {
  const { getpeername, getsockname, getsockopt, setsockopt, connect, shutdown, getrlimit, eventfd, close } =
    library.symbols;
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  const length = new Uint32Array(1);
  const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  const name = (call: typeof getpeername, fd: number): boolean => {
    length[0] = 128;
    return call(fd, bytes, length) === 0;
  };
  return {
    peerOf: (fd) => name(getpeername, fd) ? readAddress(bytes, view, littleEndian) : undefined,
    localPortOf: (fd) => name(getsockname, fd) ? view.getUint16(2) : undefined,
    bytesReceived: (fd) => {
      length[0] = bytes.length;
      const enough = getsockopt(fd, IPPROTO_TCP, TCP_INFO, bytes, length) === 0 &&
        length[0] >= BYTES_RECEIVED_AT + 8;
      return enough ? Number(view.getBigUint64(BYTES_RECEIVED_AT, littleEndian)) : 0;
    },
    send: (fd, message) =>
      library.symbols.send(fd, message, BigInt(message.length), MSG_DONTWAIT_NOSIGNAL) ===
        BigInt(message.length),
    isListening: (fd) => {
      length[0] = 4;
      return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, bytes, length) === 0 &&
        view.getInt32(0, littleEndian) === 1;
    },
    narrow: (fd, size) => void setsockopt(fd, SOL_SOCKET, SO_RCVBUF, new Int32Array([size]), 4),
    cut: (fd) => {
      if (connect(fd, AF_UNSPEC, AF_UNSPEC.length) !== 0) shutdown(fd, SHUT_RDWR);
    },
    descriptors: () => {
      const known = getrlimit(RLIMIT_NOFILE, bytes) === 0;
      const limit = known ? Number(view.getBigUint64(0, littleEndian)) : Infinity;
      const lowestFree = eventfd(0, 0);
      if (lowestFree < 0) return { limit, lowestFree: limit };
      close(lowestFree);
      return { limit, lowestFree };
    },
    close: () => library.close(),
  };
}

/** The family is in the machine's order, port and address in the network's. */
function readAddress(bytes: Uint8Array, view: DataView, littleEndian: boolean): string | undefined {
  const family = view.getUint16(0, littleEndian);
  const port = view.getUint16(2);
  if (family === AF_INET) return `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}|${port}`;
  if (family !== AF_INET6) return undefined;
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(8 + 2 * i).toString(16));
  return peerKey(groups.join(":"), port);
}

/** One spelling of a peer, however the runtime writes its address. */
export function peerKey(hostname: string, port: number): string {
  if (!hostname.includes(":")) return `${hostname}|${port}`;
  const groups = expandIpv6(hostname);
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (!mapped) return `${groups.map((group) => group.toString(16)).join(":")}|${port}`;
  const [high = 0, low = 0] = groups.slice(6);
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}|${port}`;
}

/** The eight groups of an IPv6 address, scope left out. */
export function expandIpv6(text: string): number[] {
  const [plain = ""] = text.split("%");
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(plain);
  const hex = (high: string | undefined, low: string | undefined) =>
    ((Number(high) << 8) | Number(low)).toString(16);
  const whole = dotted === null
    ? plain
    : `${dotted[1]}${hex(dotted[2], dotted[3])}:${hex(dotted[4], dotted[5])}`;
  const [head = "", tail] = whole.split("::");
  const groupsOf = (part: string) => part === "" ? [] : part.split(":").map((group) => parseInt(group, 16));
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  return [...before, ...new Array(Math.max(0, 8 - before.length - after.length)).fill(0), ...after];
}
