import { type Command, Option } from "commander";
import type { CliContext } from "./context.ts";
import { type Config, environmentName, type FlagSet, flagName } from "./flag.ts";

/** What one file of this folder declares of its command, beside name and summary (program.ts). */
export interface CommandSpec<F extends FlagSet> {
  /** Names of what must be typed after the command, in order, each with its meaning; what may be left out in brackets. */
  readonly operands?: Readonly<Record<string, string>>;
  readonly flags: F;
  /** Gives the exit code, 0 if nothing. */
  run(
    context: CliContext,
    config: Config<F>,
    operands: readonly string[],
  ): Promise<number> | Promise<void>;
}

export type AnyCommandSpec = CommandSpec<FlagSet>;

/** Ties the type of `config` to the flags. */
export function command<F extends FlagSet>(spec: CommandSpec<F>): AnyCommandSpec {
  return spec as unknown as AnyCommandSpec;
}

/** What was typed: flags by their key, as text, and the operands. */
export interface Typed {
  readonly given: Readonly<Record<string, string>>;
  readonly operands: readonly string[];
}

/** Declares operands and flags on commander's command; `take` gets what was typed. */
export function declare(target: Command, spec: AnyCommandSpec, take: (typed: Typed) => void): void {
  for (const [name, help] of Object.entries(spec.operands ?? {}))
    target.argument(name.startsWith("[") ? name : `<${name}>`, help);
  const options = Object.entries(spec.flags).map(([key, flag]) => {
    const value = flag.value === undefined ? "" : ` <${flag.value}>`;
    const option = new Option(`${flagName(key)}${value}`, describe(key, flag))
      .helpGroup(`${flag.section}:`)
      .hideHelp(flag.hidden ?? false);
    target.addOption(option);
    return { key, option };
  });
  target.action(() => {
    const given: Record<string, string> = {};
    for (const { key, option } of options) {
      const attribute = option.attributeName();
      // commander fills in a value of its own for `--no-...`: only what was typed counts.
      if (target.getOptionValueSource(attribute) !== "cli") continue;
      const value: unknown = target.getOptionValue(attribute);
      given[key] = typeof value === "string" ? value : "true";
    }
    take({ given, operands: target.args });
  });
}

function describe(key: string, flag: FlagSet[string]): string {
  const notes = [];
  if (flag.value !== undefined && flag.fallback !== "") notes.push(`default ${flag.fallback}`);
  if (!flag.typedOnly) notes.push(`env ${environmentName(key)}`);
  return notes.length === 0 ? flag.help : `${flag.help} (${notes.join(", ")})`;
}
