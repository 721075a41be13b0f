/** Holds the file's write lock. Arguments: PATH MILLISECONDS. Prints `held`, and then `free`. */
import { Database } from "bun:sqlite";

const database = new Database(process.argv[2]);
database.run("BEGIN IMMEDIATE");
console.log("held");
Bun.sleepSync(Number(process.argv[3]));
database.run("ROLLBACK");
console.log("free");
