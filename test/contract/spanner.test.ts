import { describeWithEmulator } from "../spanner/rule.ts";
import { contract } from "./contract.ts";
import { spannerWorld } from "./spanner-world.ts";

describeWithEmulator("on the emulator", () => contract("Spanner", spannerWorld));
