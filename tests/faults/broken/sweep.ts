/** A sweep that never sweeps. */
export class Sweep implements AsyncDisposable {
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
