import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { HedgerowError, messageOf } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import type { Runtime, Timer } from "../runtime/runtime.ts";
import { NODE_DNS_NAME } from "./certificates.ts";
import type { Credentials, TlsFiles, TlsMaterial } from "./tls.ts";

export interface FileOptions {
  readonly files: TlsFiles;
  readonly runtime: Runtime;
  readonly logger: Logger;
}

/** The files are read again so often, in milliseconds. */
export const RELOAD_FILES_MS = 30_000;

/** Reads them, and again when they change. Throws `invalid_argument` for files that cannot serve. */
export async function openFileCredentials(options: FileOptions): Promise<Credentials> {
  return new FileCredentials(options, await readMaterial(options));
}

class FileCredentials implements Credentials {
  #listener: (material: TlsMaterial) => void = () => {};
  #timer: Timer | null = null;
  #closed = false;
  /** Not told twice. */
  #problem = "";

  constructor(
    private readonly options: FileOptions,
    private material: TlsMaterial,
  ) {
    this.#schedule();
  }

  readonly current = (): TlsMaterial => this.material;

  onRenewed(listener: (material: TlsMaterial) => void): void {
    this.#listener = listener;
  }

  async reload(): Promise<void> {
    const read = await readMaterial(this.options);
    if (this.#closed || textOf(read) === textOf(this.material)) return;
    // Told first: while a listener cannot take it, the next look finds it new again.
    this.#listener(read);
    this.material = read;
    this.options.logger.info("new TLS files in use", { cert: this.options.files.cert });
  }

  async refresh(): Promise<void> {
    try {
      await this.reload();
      this.#problem = "";
    } catch (error) {
      const problem = messageOf(error);
      if (problem !== this.#problem) {
        this.options.logger.warn("TLS files not usable, those read before stay in use", {
          error: problem,
        });
      }
      this.#problem = problem;
    }
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = this.options.runtime.clock.schedule(RELOAD_FILES_MS, () => {
      void this.refresh().finally(() => this.#schedule());
    });
  }
}

async function readMaterial({ files, runtime }: FileOptions): Promise<TlsMaterial> {
  const [cert, key, ca] = await Promise.all([
    readPem("cert", files.cert),
    readPem("key", files.key),
    readPem("ca", files.ca),
  ]);
  const [own, ...chain] = certificatesOf("cert", files.cert, cert);
  const authorities = certificatesOf("ca", files.ca, ca);
  const refuse = (problem: string) => unusable("cert", files.cert, problem);
  if (own === undefined) throw refuse("holds no certificate");
  if (authorities.length === 0) throw unusable("ca", files.ca, "holds no certificate");
  if (!belongs(own, key)) throw unusable("key", files.key, "is not the key of the certificate");
  if (own.checkHost(NODE_DNS_NAME) === undefined) {
    throw refuse(`is not for the DNS name ${NODE_DNS_NAME}, which nodes ask each other for`);
  }
  const signed = [own, ...chain].some((link) =>
    authorities.some(({ publicKey }) => link.verify(publicKey)),
  );
  if (!signed) throw refuse(`is signed by no authority of ${files.ca}`);
  const nowMs = runtime.clock.wallMicros() / 1e3;
  if (Date.parse(own.validTo) < nowMs) throw refuse(`ended on ${own.validTo}`);
  return { cert, key, ca: authorities.map((authority) => authority.toString()) };
}

async function readPem(what: keyof TlsFiles, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw unusable(what, path, `cannot be read: ${messageOf(error)}`);
  }
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function certificatesOf(what: keyof TlsFiles, path: string, pem: string): X509Certificate[] {
  try {
    return (pem.match(CERTIFICATE) ?? []).map((one) => new X509Certificate(one));
  } catch (error) {
    throw unusable(what, path, `is no PEM: ${messageOf(error)}`);
  }
}

function belongs(certificate: X509Certificate, key: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false; // no key at all
  }
}

function textOf({ cert, key, ca }: TlsMaterial): string {
  return [cert, key, ...ca].join("\n");
}

function unusable(what: keyof TlsFiles, path: string, problem: string): HedgerowError {
  return new HedgerowError("invalid_argument", `--tls-${what} ${path} ${problem}`);
}
