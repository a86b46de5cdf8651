/** One native socket: frames of the native wire, gathered for clients that offered it. */
import type { Outlet } from "../delivery/connection.ts";
import { FramedSocket, type SocketUses } from "../sockets/framed_socket.ts";
import { Gatherer, nativeWire } from "./wire.ts";

export class NativeSocket extends FramedSocket implements Outlet {
  readonly wire = nativeWire;
  readonly #gatherer: Gatherer | undefined;

  constructor(peer: string, batch: boolean, uses: SocketUses) {
    super(peer, uses);
    this.#gatherer = batch ? new Gatherer((frame) => super.send(frame)) : undefined;
  }

  override send(frame: string): void {
    if (this.#gatherer === undefined) super.send(frame);
    else this.#gatherer.add(frame);
  }

  override queuedBytes(): number {
    return super.queuedBytes() + (this.#gatherer?.waitingBytes ?? 0);
  }

  protected override flush(): void {
    this.#gatherer?.close();
  }
}
