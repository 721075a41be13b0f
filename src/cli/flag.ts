import type * as z from "zod/mini";
import { HedgerowError } from "../errors.ts";

/** A flag as it is declared, once: parser, help, environment and README all come from this. */
export interface Flag<T> {
  /** Reads the text of the command line, the environment or the default; its message is the mend. */
  readonly schema: z.ZodMiniType<T, string>;
  /** Stands for the value in the help, as in `--store URL`. Absent: a switch, whose text is "true" or "false". */
  readonly value?: string;
  /** The default, as text. */
  readonly fallback: string;
  readonly help: string;
  /** Heading under which the help lists it. */
  readonly section: string;
  /** Not read from the environment: it belongs to one call, not to a deployment. */
  readonly typedOnly?: boolean;
  /** The mend if it is typed with nothing, as an unset variable of a shell comes. Absent: that is a value. */
  readonly neverEmpty?: string;
  /** Not for people: neither in the help nor in the README. */
  readonly hidden?: boolean;
}

/** Flags by the name under which the program knows them; `peerAddr` is typed as `--peer-addr`. */
// biome-ignore lint/suspicious/noExplicitAny: a set holds flags of any type; Config gives each its own.
export type FlagSet = Readonly<Record<string, Flag<any>>>;

/** What the flags of a set come to. */
export type Config<F extends FlagSet> = {
  readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never;
};

export type Environment = Readonly<Record<string, string | undefined>>;

/** `peerAddr` -> `--peer-addr` */
export function flagName(key: string): string {
  return `--${kebab(key)}`;
}

/** `peerAddr` -> `HEDGEROW_PEER_ADDR` */
export function environmentName(key: string): string {
  return `HEDGEROW_${kebab(key).replaceAll("-", "_").toUpperCase()}`;
}

/**
 * The configuration: a flag beats the environment beats the default. A variable that is set counts, also
 * when it is empty. Throws `invalid_argument` that names the flag or variable, its value and the mend.
 */
export function resolveFlags<F extends FlagSet>(
  flags: F,
  given: Environment,
  environment: Environment,
): Config<F> {
  const config: Record<string, unknown> = {};
  for (const [key, flag] of Object.entries(flags)) {
    const variable = flag.typedOnly ? undefined : environment[environmentName(key)];
    config[key] = resolveFlag(key, flag, given[key], variable);
  }
  return config as Config<F>;
}

function resolveFlag<T>(
  key: string,
  flag: Flag<T>,
  given: string | undefined,
  fromEnvironment: string | undefined,
): T {
  const text = given ?? fromEnvironment ?? flag.fallback;
  const unset = given === "" ? flag.neverEmpty : undefined;
  const parsed = flag.schema.safeParse(text);
  if (parsed.success && unset === undefined) return parsed.data;
  const mend = unset ?? parsed.error?.issues[0]?.message ?? "not understood";
  throw new HedgerowError("invalid_argument", `${sourceOf(key, given, fromEnvironment)}: ${mend}`);
}

function sourceOf(
  key: string,
  given: string | undefined,
  fromEnvironment: string | undefined,
): string {
  if (given !== undefined) return `${flagName(key)} ${given === "" ? '""' : given}`;
  if (fromEnvironment !== undefined) return `${environmentName(key)}=${fromEnvironment}`;
  return `${flagName(key)} is missing`;
}

/** An error of ours that begins with a flag begins with its variable instead, where that was what was set. */
export function namedAsSet(
  error: unknown,
  flags: FlagSet,
  given: Environment,
  environment: Environment,
): unknown {
  if (!HedgerowError.is(error, "invalid_argument")) return error;
  const { code, message } = error;
  for (const [key, { typedOnly }] of Object.entries(flags)) {
    const flag = `${flagName(key)} `;
    if (!message.startsWith(flag)) continue;
    const variable = environmentName(key);
    const isSet = !typedOnly && given[key] === undefined && environment[variable] !== undefined;
    if (!isSet) return error;
    return new HedgerowError(code, `${variable}=${message.slice(flag.length)}`, { cause: error });
  }
  return error;
}

function kebab(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
