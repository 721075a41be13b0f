import { contract } from "./contract.ts";
import { memoryWorld, sqliteWorld } from "./worlds.ts";

contract("memory", memoryWorld);
contract("SQLite", sqliteWorld);
