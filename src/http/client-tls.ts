import { createPrivateKey, X509Certificate } from "node:crypto";
import { HedgerowError, messageOf } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import { reread } from "../runtime/reread.ts";
import type { Clock } from "../runtime/runtime.ts";
import { readSecretFile } from "../runtime/secret-file.ts";
import type { ListenerTls } from "./listener.ts";

const CERT = "--client-tls-cert";
const KEY = "--client-tls-key";
/** The files are read again so often, in milliseconds. */
export const RELOAD_TLS_MS = 5_000;

/** Paths of PEM files that somebody else keeps. */
export interface ListenerTlsFiles {
  /** The certificate of the client listeners; its chain may follow. */
  readonly cert: string;
  readonly key: string;
}

/** What the files hold. Throws `invalid_argument`, in one line, for files that cannot serve. */
export async function readClientTls(
  files: ListenerTlsFiles,
  clock: Clock,
): Promise<ListenerTls & { readonly warning: string | null }> {
  const { text: cert } = await readSecretFile(CERT, files.cert);
  const { text: key, warning } = await readSecretFile(KEY, files.key);
  const refuse = (flag: string, path: string, problem: string) =>
    new HedgerowError("invalid_argument", `${flag} ${path} ${problem}`);
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch (error) {
    throw refuse(CERT, files.cert, `holds no PEM certificate: ${messageOf(error)}`);
  }
  if (Date.parse(certificate.validTo) < clock.wallMicros() / 1e3) {
    throw refuse(CERT, files.cert, `ended on ${certificate.validTo}: renew it`);
  }
  if (!belongs(certificate, key)) {
    throw refuse(KEY, files.key, `is not the PEM key of the certificate in ${files.cert}`);
  }
  return { cert, key, warning };
}

/** Gives new files to `renew`, until the result is called. */
export function followClientTls(
  files: ListenerTlsFiles,
  first: ListenerTls,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  renew: (tls: ListenerTls) => void,
): () => void {
  return reread<ListenerTls>({
    clock,
    everyMs: RELOAD_TLS_MS,
    first,
    read: () => readClientTls(files, clock),
    textOf: ({ cert, key }) => `${cert}\n${key}`,
    onChange: (tls) => {
      renew(tls);
      logger.info("new TLS files in use for clients", { cert: files.cert });
    },
    onProblem: (problem) => {
      const message = "TLS files for clients not usable, those read before stay in use";
      logger.warn(message, { error: problem });
    },
  });
}

function belongs(certificate: X509Certificate, key: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false; // no key at all
  }
}
