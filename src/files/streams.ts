/** Small tools for bytes that arrive bit by bit. They hold no more than one piece at a time. */

/** The same pieces, but an abort ends the wait for the next one. Whoever made the source lets go of it. */
export async function* untilAborted<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  signal.throwIfAborted();
  const iterator = source[Symbol.asyncIterator]();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  aborted.catch(() => {});
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  let isDone = false;
  try {
    while (true) {
      const next = await Promise.race([iterator.next(), aborted]);
      isDone = next.done === true;
      if (isDone) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", abort);
    // not awaited: a source that hangs would keep us; its own failure is told to nobody who still listens
    if (!isDone) iterator.return?.()?.catch(() => {});
  }
}

/** A stream that asks for the next piece only when it is read; `end` is called once, however it ends. */
export function pulled(
  next: () => Promise<Uint8Array | undefined>,
  end: () => void | Promise<void>,
): ReadableStream<Uint8Array> {
  let isOver = false;
  const finish = async (): Promise<void> => {
    if (isOver) return;
    isOver = true;
    await end();
  };
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const piece = await next();
        if (piece !== undefined) return controller.enqueue(piece);
        await finish();
        controller.close();
      } catch (error) {
        await finish();
        throw error;
      }
    },
    cancel: finish,
  }, { highWaterMark: 0 });
}

/** At most `bytesMax` bytes from the start; the rest is not read. */
export async function readHead(
  stream: ReadableStream<Uint8Array>,
  bytesMax: number,
): Promise<Uint8Array> {
  const head = new Uint8Array(bytesMax);
  let length = 0;
  for await (const piece of stream) {
    const part = piece.subarray(0, bytesMax - length);
    head.set(part, length);
    length += part.length;
    if (length === bytesMax) break;
  }
  return head.subarray(0, length);
}
