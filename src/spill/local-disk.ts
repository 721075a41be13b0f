import type { ScratchFiles } from "../runtime/scratch.ts";
import type { Budget } from "./budget.ts";
import type { Place } from "./catalog.ts";
import type { Sealed } from "./sealed.ts";

/**
 * The segment in a file of its own. null if the limit has no room for it. Throws the system's error, as of a full
 * disk; then nothing is taken.
 */
export async function toDisk(
  sealed: Sealed,
  files: ScratchFiles,
  disk: Budget,
): Promise<Extract<Place, { tier: "localDisk" }> | null> {
  const { pieces, layout } = sealed;
  if (!disk.tryTake(layout.bytes)) return null;
  try {
    const file = files.create();
    try {
      await file.write(pieces);
    } catch (error) {
      file.close();
      throw error;
    }
    return { tier: "localDisk", file, layout };
  } catch (error) {
    disk.give(layout.bytes);
    throw error;
  }
}
