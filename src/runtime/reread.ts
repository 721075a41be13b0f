import { messageOf } from "../errors.ts";
import type { Clock, Timer } from "./runtime.ts";

export interface RereadOptions<T> {
  readonly clock: Clock;
  /** Milliseconds between two looks. */
  readonly everyMs: number;
  /** What was read at the start. */
  readonly first: T;
  /** Throws for what cannot be used: then what was read before stays. */
  readonly read: () => Promise<T>;
  /** Tells two apart. */
  readonly textOf: (value: T) => string;
  /** Told of what is new; of the same once more at the next look, should it throw. */
  readonly onChange: (value: T) => void;
  /** Told why it cannot be used, of each reason once. */
  readonly onProblem: (problem: string) => void;
}

/** Looks whether files have changed, until the result is called: Kubernetes exchanges the folder, not the file. */
export function reread<T>(options: RereadOptions<T>): () => void {
  const { clock, everyMs, read, textOf, onChange, onProblem } = options;
  let current = textOf(options.first);
  let told = "";
  let ended = false;
  let timer: Timer;
  const look = async () => {
    try {
      const value = await read();
      const text = textOf(value);
      if (!ended && text !== current) {
        onChange(value);
        current = text;
      }
      told = "";
    } catch (error) {
      const problem = messageOf(error);
      if (!ended && problem !== told) onProblem(problem);
      told = problem;
    }
    if (!ended) timer = schedule();
  };
  const schedule = () => clock.schedule(everyMs, () => void look());
  timer = schedule();
  return () => {
    ended = true;
    timer.cancel();
  };
}
