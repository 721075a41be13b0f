import type { AnyCommandSpec } from "./command.ts";

export interface Listed {
  readonly summary: string;
  /** Loads the command's own file: one command does not pay for what another needs. */
  readonly load: () => Promise<{ readonly default: AnyCommandSpec }>;
}

/** Commands of two words. */
export interface Group {
  readonly summary: string;
  readonly commands: Readonly<Record<string, Listed>>;
}

export const COMMANDS: Readonly<Record<string, Listed | Group>> = {
  serve: { summary: "run one node in the foreground", load: () => import("./serve.ts") },
  dev: { summary: "run a local cluster of real processes", load: () => import("./dev.ts") },
  schema: {
    summary: "the tables in the database",
    commands: {
      print: {
        summary: "print the DDL that makes the tables",
        load: () => import("./schema/print.ts"),
      },
      apply: {
        summary: "create what is missing in the database",
        load: () => import("./schema/apply.ts"),
      },
    },
  },
  ca: {
    summary: "the authority by which nodes know each other",
    commands: {
      rotate: {
        summary: "put a new authority beside the one in use",
        load: () => import("./ca/rotate.ts"),
      },
    },
  },
  put: { summary: "append a version to a key", load: () => import("./put.ts") },
  get: { summary: "print versions of a key, newest first", load: () => import("./get.ts") },
  watch: {
    summary: "print versions of a key as they are written",
    load: () => import("./watch.ts"),
  },
  send: { summary: "send a message to the leader", load: () => import("./send.ts") },
  broadcast: { summary: "send a message to all members", load: () => import("./broadcast.ts") },
  lock: {
    summary: "run a command while holding a lock",
    load: () => import("./lock.ts"),
  },
  semaphore: {
    summary: "permits of which there are only so many",
    commands: {
      acquire: {
        summary: "run a command while holding a permit",
        load: () => import("./semaphore/acquire.ts"),
      },
    },
  },
  spill: {
    summary: "records in the memory and on the disks of the cluster",
    commands: {
      write: {
        summary: "append stdin to a spill store, a record a line",
        load: () => import("./spill/write.ts"),
      },
      read: {
        summary: "print the records of a spill store, a line each",
        load: () => import("./spill/read.ts"),
      },
      stats: {
        summary: "what spill stores hold, and where",
        load: () => import("./spill/stats.ts"),
      },
      close: { summary: "free a spill store", load: () => import("./spill/close.ts") },
    },
  },
  members: { summary: "list the members", load: () => import("./members.ts") },
  leader: { summary: "print the leader's address", load: () => import("./leader.ts") },
  status: { summary: "print what a node knows", load: () => import("./status.ts") },
  doctor: {
    summary: "check what a node needs, and how to mend it",
    load: () => import("./doctor.ts"),
  },
  k8s: {
    summary: "what runs it in Kubernetes",
    commands: {
      manifest: {
        summary: "print a Deployment and what goes with it",
        load: () => import("./k8s/manifest.ts"),
      },
    },
  },
};

/** The words at the beginning of what was typed that name a command, or a group of commands. */
export function commandWords([first = "", second = ""]: readonly string[]): string[] {
  const entry = own(COMMANDS, first);
  if (entry === undefined) return [];
  return "load" in entry || own(entry.commands, second) === undefined ? [first] : [first, second];
}

/** The command of these words; undefined for none, and for a group. */
export function listedAt([first = "", second = ""]: readonly string[]): Listed | undefined {
  const entry = own(COMMANDS, first);
  return entry === undefined || "load" in entry ? entry : own(entry.commands, second);
}

function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
