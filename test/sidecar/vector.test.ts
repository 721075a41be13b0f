import { createHmac } from "node:crypto";
import { expect, test } from "bun:test";
import { join } from "node:path";
import { sign, signedText } from "../../src/sidecar/signature.ts";

const root = join(import.meta.dir, "../..");

/** The example of docs/SIDECAR.md, its parts by their headings. */
async function vector() {
  const text = await Bun.file(join(root, "docs/SIDECAR.md")).text();
  const block = /<!-- vector -->\n\n```text\n(.*?)\n```/s.exec(text)?.[1] ?? "";
  const parts = block.split("\n\n").map((part) => {
    const [heading = "", ...lines] = part.split("\n");
    return [heading, lines.join("\n")];
  });
  return Object.fromEntries(parts) as Record<string, string>;
}

test("the documented example is what is signed, and how", async () => {
  const parts = await vector();
  const { key = "", body = "", "text that is signed": signed = "" } = parts;
  const [method = "", target = "", ...rest] = signed.split("\n");
  const headers = Object.fromEntries(
    rest.slice(0, -1).map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1)];
    }),
  );
  const request = { method, target, headers, body: Buffer.from(body) };
  expect(Object.keys(headers).length).toBe(9);
  expect(signedText(request)).toBe(signed);
  expect(sign(request, [key])).toBe(parts["hedgerow-signature"] as string);
  const independent = createHmac("sha256", key).update(signed).digest("hex");
  expect(parts["hedgerow-signature"]).toBe(`v1=${independent}`);
});

const python = Bun.which("python3");
if (python === null)
  console.log("skipped: the documented example in Python, which is not installed");
test.skipIf(python === null)("the example in Python takes it, at its time", async () => {
  const script = `
import json, sys
sys.path.insert(0, sys.argv[1])
from service import is_genuine
parts = json.loads(sys.argv[2])
method, target, *lines = parts["text that is signed"].split("\\n")
headers = [tuple(line.split(":", 1)) for line in lines[:-1]]
headers.append(("Hedgerow-Signature", "v1=00," + parts["hedgerow-signature"]))
at = lambda now: is_genuine(method, target, headers, parts["body"].encode(), [parts["key"].encode()], now)
print(at(1763719200), at(1763719500), at(1763719501), at(1763718899))`;
  const argv = [join(root, "examples/sidecar"), JSON.stringify(await vector())];
  const child = Bun.spawnSync([python ?? "", "-B", "-c", script, ...argv]);
  expect(child.stderr.toString()).toBe("");
  expect(child.stdout.toString()).toBe("True True False False\n");
});
