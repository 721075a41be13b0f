import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";

/** Where the Spanner emulator of this machine is: a program to start, one that runs already, or none and why. */
export type Found =
  { readonly binary: string } | { readonly host: string } | { readonly missing: string };

/** The emulator to test against; of these variables, that of `SPANNER_EMULATOR_HOST` comes first. */
export function findEmulator(env: NodeJS.ProcessEnv = process.env): Found {
  const host = env.SPANNER_EMULATOR_HOST;
  return host ? { host } : findBinary(env);
}

/** The emulator's program, for tests that stop it and start it again: it lies beside the real `gcloud`. */
export function findBinary(env: NodeJS.ProcessEnv = process.env): Exclude<Found, { host: string }> {
  const gcloud = Bun.which("gcloud", { PATH: env.PATH ?? "" });
  if (gcloud === null) {
    return { missing: "there is no gcloud: install Google Cloud's CLI and its Spanner emulator" };
  }
  const binary = join(dirname(realpathSync(gcloud)), "cloud_spanner_emulator/emulator_main");
  if (existsSync(binary)) return { binary };
  return {
    missing: "gcloud has no Spanner emulator: gcloud components install cloud-spanner-emulator",
  };
}
