import { accessSync, constants, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Runtime } from "../../runtime/runtime.ts";
import { inspectSqlite } from "../../store/sqlite/inspect.ts";
import { describeMount } from "../../store/sqlite/mount.ts";
import { failed, failedBy, fine, type Finding } from "./finding.ts";
import { lookInside } from "./leader.ts";
import type { StoreQuestion, StoreReport } from "./question.ts";

/** What is missing is fine: `serve` will create it. */
export async function checkSqlite(
  question: StoreQuestion,
  path: string,
  runtime: Runtime,
): Promise<StoreReport> {
  const mount = checkMount(path);
  let writtenMs: number | null = null;
  let leader: string | null = null;
  let lease: readonly Finding[] = [];
  const look = async (): Promise<Finding> => {
    if (statSync(resolve(path), { throwIfNoEntry: false })?.isDirectory() === true) {
      return failed("store", `${path} is a directory`, "name a file");
    }
    const inspected = inspectSqlite(path, question);
    if (inspected === null) return checkCreatable(path);
    writtenMs = inspected.writtenMs;
    if (inspected.missing.length > 0) {
      return fine(
        "store",
        `${path} has no ${inspected.missing.join(" and ")} yet: serve creates it`,
      );
    }
    const opened = await lookInside(question, runtime);
    ({ leader, lease } = opened);
    return fine("store", `${path} answers in ${opened.pingMs} ms`);
  };
  const found = await look().catch((error) => failedBy("store", error));
  return { findings: [found, ...lease, ...mount], writtenMs, leader };
}

function checkCreatable(path: string): Finding {
  const directory = dirname(resolve(path));
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    return fine("store", `${path} is not there yet: serve creates it`);
  } catch {
    const fix = `make ${directory} a directory that this user may write`;
    return failed("store", `${path} cannot be created`, fix);
  }
}

function checkMount(path: string): Finding[] {
  const mount = describeMount(path);
  if (mount === null) return [];
  const where = `${mount.type} at ${mount.directory}`;
  if (mount.supported) return [fine("file system", where)];
  return [
    failed(
      "file system",
      `${where} is shared over a network or with a virtual machine, where SQLite's locks do not hold`,
      "choose a --store on a local disk",
    ),
  ];
}
