// Certificates as an operator makes them, with openssl. Imports nothing of src.
import { join } from "node:path";

export const MISSING_FOR_CERTIFICATES =
  Bun.which("openssl") === null ? "there is no openssl" : null;

/** What one side shows, and whom it trusts. All PEM. */
export interface Credentials {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** An authority whose files lie in a folder. */
export class Authority {
  private constructor(
    private readonly folder: string,
    private readonly name: string,
  ) {}

  static async make(folder: string, name: string): Promise<Authority> {
    const authority = new Authority(folder, name);
    const files = ["-keyout", authority.#path("ca.key"), "-out", authority.#path("ca.crt")];
    await openssl("req", "-x509", ...KEY, ...files, "-days", "2", "-subj", `/CN=${name}`);
    return authority;
  }

  /** Flags of a node that shows a certificate of this authority. */
  async flags(): Promise<string[]> {
    await this.issue("node");
    const paths = ["node.crt", "node.key", "ca.crt"].map((file) => this.#path(file));
    const [cert = "", key = "", ca = ""] = paths;
    return ["--tls", "files", "--tls-cert", cert, "--tls-key", key, "--tls-ca", ca];
  }

  /** A certificate for the DNS name that nodes have. */
  async issue(who: string): Promise<Credentials> {
    const [key, request, cert, names] = ["key", "csr", "crt", "cnf"].map((kind) =>
      this.#path(`${who}.${kind}`),
    ) as [string, string, string, string];
    await Bun.write(names, "subjectAltName=DNS:hedgerow\n");
    await openssl("req", ...KEY, "-keyout", key, "-out", request, "-subj", `/CN=${who}`);
    const authority = ["-CA", this.#path("ca.crt"), "-CAkey", this.#path("ca.key")];
    const made = ["-in", request, "-out", cert, "-extfile", names, "-days", "2"];
    await openssl("x509", "-req", ...made, ...authority, "-CAcreateserial");
    const [certText, keyText] = [await Bun.file(cert).text(), await Bun.file(key).text()];
    return { cert: certText, key: keyText, ca: await this.certificate() };
  }

  /** Its own. */
  certificate(): Promise<string> {
    return Bun.file(this.#path("ca.crt")).text();
  }

  #path(file: string): string {
    return join(this.folder, `${this.name}-${file}`);
  }
}

async function openssl(...words: string[]): Promise<void> {
  const child = Bun.spawn(["openssl", ...words], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`openssl ${words[0]}: ${said}`);
}
