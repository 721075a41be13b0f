// Reads Arrow files, named by its arguments, with apache-arrow, and prints for each what it holds.
import { tableFromIPC } from "apache-arrow";

for (const path of process.argv.slice(2)) {
  const table = tableFromIPC(await Bun.file(path).bytes());
  const column = table.getChild("record");
  const hash = new Bun.CryptoHasher("sha256");
  for (const record of column ?? []) hash.update(record as Uint8Array);
  const { schema, numRows } = table;
  console.log(JSON.stringify({ schema: schema.toString(), numRows, sha256: hash.digest("hex") }));
}
