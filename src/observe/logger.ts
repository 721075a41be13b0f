/** Facts beside a message: addresses, tokens, durations. Never values of the log or messages of users. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** The only way in which Hedgerow's parts speak to the operator. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Says nothing: the default of the library. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
};
