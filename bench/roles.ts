// A contender's own processes: its file runs itself in a child, as a server or as a client.
import { type Call, closedLoop, type Load, type LoadOptions } from "./load.ts";
import { endProcess, pinned, repository, track } from "./processes.ts";

/** What a server tells its clients, such as its address. */
export type Info = Readonly<Record<string, string | number | boolean>>;

export interface Roles {
  /** Starts serving, and says what clients need to know. */
  server?(options: Info): Promise<Info>;
  /** Connects, and gives the call to measure. */
  client?(server: Info): Promise<Call>;
  /** Instead: connects, and gives the whole load, where one call is not what is measured. */
  load?(server: Info): Promise<(options: LoadOptions) => Promise<Load>>;
}

interface Request {
  readonly load: LoadOptions;
}

type Answer =
  | { readonly kind: "ready"; readonly info: Info }
  | { readonly kind: "load"; readonly load: Load }
  | { readonly kind: "failed"; readonly message: string };

/** In the child: plays the role that the command line names. */
export async function playRole(roles: Roles): Promise<void> {
  const [role, text] = process.argv.slice(2);
  const options = JSON.parse(text ?? "{}") as Info;
  const answer = (message: Answer) => process.send?.(message);
  const failed = (error: unknown) =>
    answer({ kind: "failed", message: error instanceof Error ? `${error.stack}` : String(error) });
  // The parent is gone, or has ended this child: there is nothing to clean up that outlives a process.
  process.on("disconnect", () => process.exit(0));
  process.on("SIGTERM", () => process.exit(0));
  try {
    if (role === "server" && roles.server !== undefined) {
      answer({ kind: "ready", info: await roles.server(options) });
    } else if (role === "client") {
      const run = await loadOf(roles, options);
      process.on("message", (request: Request) => {
        run(request.load).then((load) => answer({ kind: "load", load }), failed);
      });
      answer({ kind: "ready", info: {} });
    } else {
      throw new Error(`no such role: ${role}`);
    }
  } catch (error) {
    failed(error);
  }
}

async function loadOf(
  roles: Roles,
  server: Info,
): Promise<(options: LoadOptions) => Promise<Load>> {
  if (roles.load !== undefined) return roles.load(server);
  if (roles.client === undefined) throw new Error("no such role: client");
  const call = await roles.client(server);
  return (options) => closedLoop(call, options);
}

const ANSWER_DEADLINE_MS = 30_000;

/** In the parent: one child that plays a role. */
export class RoleProcess implements AsyncDisposable {
  readonly #child: Bun.Subprocess;
  #waiting: PromiseWithResolvers<Answer> | null = null;

  private constructor(script: string, role: "server" | "client", options: Info, core?: number) {
    const command = [process.execPath, script, role, JSON.stringify(options)];
    this.#child = Bun.spawn(pinned(command, core), {
      cwd: repository,
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
      ipc: (message: Answer) => this.#waiting?.resolve(message),
    });
    track(this.#child);
  }

  static async server(
    script: string,
    options: Info,
    core?: number,
  ): Promise<{ process: RoleProcess; info: Info }> {
    return RoleProcess.#start(script, "server", options, core);
  }

  static async client(script: string, server: Info, core?: number): Promise<RoleProcess> {
    return (await RoleProcess.#start(script, "client", server, core)).process;
  }

  static async #start(script: string, role: "server" | "client", options: Info, core?: number) {
    const started = new RoleProcess(script, role, options, core);
    try {
      const answer = await started.#answer(ANSWER_DEADLINE_MS);
      if (answer.kind !== "ready") throw new Error(`${script}: ${role} did not start`);
      return { process: started, info: answer.info };
    } catch (error) {
      await started[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Has a client make calls in a closed loop. */
  async load(load: LoadOptions): Promise<Load> {
    const answer = this.#answer(ANSWER_DEADLINE_MS + load.seconds * 1000);
    this.#child.send({ load } satisfies Request);
    const given = await answer;
    if (given.kind !== "load") throw new Error("the client answered something else");
    return given.load;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endProcess(this.#child);
  }

  async #answer(deadlineMs: number): Promise<Answer> {
    const waiting = Promise.withResolvers<Answer>();
    this.#waiting = waiting;
    const timer = setTimeout(
      () => waiting.reject(new Error(`no answer in ${deadlineMs} ms`)),
      deadlineMs,
    );
    const ended = this.#child.exited.then((code) => {
      throw new Error(`a process of the benchmark ended with exit code ${code}`);
    });
    try {
      const answer = await Promise.race([waiting.promise, ended]);
      if (answer.kind === "failed") throw new Error(answer.message);
      return answer;
    } finally {
      clearTimeout(timer);
      ended.catch(() => {}); // a later end is no failure of this answer
      this.#waiting = null;
    }
  }
}
