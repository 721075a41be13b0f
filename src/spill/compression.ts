/** How segments travel to other nodes and are kept there. */
export const COMPRESSIONS = ["none", "zstd"] as const;
export type Compression = (typeof COMPRESSIONS)[number];
