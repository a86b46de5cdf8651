/** EICAR's test file, which every scanner finds and nobody is harmed by. In two parts, or this file would be found. */
export const TEST_VIRUS = (): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(
    ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR", "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].join(""),
  );
