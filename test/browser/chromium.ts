// A headless Chromium, and pages of another origin than the node's.
import { test } from "bun:test";
import { type Browser, chromium, type Page } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const executable = NAMES.map((name) => Bun.which(name)).find((path) => path !== null) ?? null;

if (executable === null) {
  console.warn(`test/browser is skipped: no ${NAMES.join(", ")} on this machine; install chromium`);
}

/** Skipped, and listed so, where there is no Chromium. */
export const testInBrowser = test.skipIf(executable === null);

/** null where there is no Chromium. */
export async function launchChromium(): Promise<Browser | null> {
  if (executable === null) return null;
  return await chromium.launch({
    executablePath: executable,
    // Root may not use the sandbox, and containers have a small /dev/shm.
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
}

/** An origin of its own, with files by their paths: scripts end in `.js`, all else is HTML. */
export class PageOrigin implements AsyncDisposable {
  readonly #server: Bun.Server<undefined>;
  readonly origin: string;

  constructor(files: ReadonlyMap<string, string>) {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch({ url }) {
        const { pathname } = new URL(url);
        const file = files.get(pathname);
        const type = pathname.endsWith(".js") ? "text/javascript" : "text/html";
        if (file === undefined) return new Response(null, { status: 404 });
        return new Response(file, { headers: { "content-type": type } });
      },
    });
    this.origin = `http://127.0.0.1:${this.#server.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}

/** The page, once it is loaded; what goes wrong in it is printed. */
export async function openPage(browser: Browser, url: string): Promise<Page> {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(`page: ${error.message}`));
  await page.goto(url);
  return page;
}

/** One script for browsers of a file and all that it imports. */
export async function bundle(path: string): Promise<string> {
  const { outputs } = await Bun.build({ entrypoints: [path], target: "browser", format: "esm" });
  const [script] = outputs;
  if (script === undefined) throw new Error(`${path} makes no script`);
  return await script.text();
}
