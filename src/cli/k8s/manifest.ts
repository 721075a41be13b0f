import { command } from "../command.ts";
import { JSON_FLAG } from "../flags.ts";
import { printJson } from "../output.ts";
import {
  clientTokens,
  disruptionBudget,
  networkPolicy,
  service,
  serviceAccount,
} from "./companions.ts";
import { deployment } from "./deployment.ts";
import { type ManifestConfig, namesOf } from "./names.ts";
import { MANIFEST_FLAGS } from "./options.ts";

export default command({
  flags: { ...MANIFEST_FLAGS, ...JSON_FLAG },
  async run({ stdout }, config) {
    const yaml = manifest(config);
    if (!config.json) stdout.write(yaml);
    else printJson(stdout, { apiVersion: "v1", kind: "List", items: Bun.YAML.parse(yaml) });
  },
});

/** The default one is also deploy/kubernetes/hedgerow.yaml, to which a test holds it. */
function manifest(config: ManifestConfig): string {
  const names = namesOf(config);
  const resources = [
    ...(config.newTokens ? [clientTokens(names)] : []),
    serviceAccount(config, names),
    deployment(config, names),
    service(config, names),
    disruptionBudget(names),
    networkPolicy(config, names),
  ];
  return resources.join("---\n");
}
