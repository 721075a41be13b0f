import { randomBytes } from "node:crypto";
import { accountAt } from "./account.ts";
import { type ManifestConfig, type Names, TOKENS_KEY } from "./names.ts";

// What goes with the Deployment, each as YAML.

export function serviceAccount(config: ManifestConfig, { metadata }: Names): string {
  const account = config.gcpServiceAccount ?? accountAt(config.store, config.name);
  return `apiVersion: v1
kind: ServiceAccount
metadata:
  ${metadata}
  annotations:
    # Workload Identity: the Google service account as which the pods reach Spanner.
    iam.gke.io/gcp-service-account: ${JSON.stringify(account)}
`;
}

export function service({ grpc }: ManifestConfig, { metadata, labels }: Names): string {
  return `# For clients; the nodes find each other through the database.
apiVersion: v1
kind: Service
metadata:
  ${metadata}
spec:
  selector:
    ${labels(4)}
  ports:
    - name: http
      port: 9090
      targetPort: http
${grpc ? GRPC_PORT : ""}`;
}

const GRPC_PORT = `    - name: grpc
      port: 8081
      targetPort: grpc
      appProtocol: grpc
`;

export function disruptionBudget({ metadata, labels }: Names): string {
  return `apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  ${metadata}
spec:
  maxUnavailable: 1
  # Pods that are not ready, as while the database is away, hold up no drain.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      ${labels(6)}
`;
}

export function networkPolicy({ grpc }: ManifestConfig, { metadata, labels }: Names): string {
  return `# Pods of this namespace reach the client listeners, and no others.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  ${metadata}
spec:
  podSelector:
    matchLabels:
      ${labels(6)}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector:
            matchLabels:
              ${labels(14)}
      ports:
        - port: peer
    - from:
        - podSelector: {}
      ports:
        - port: http
${grpc ? "        - port: grpc\n" : ""}`;
}

/** Two new tokens. */
export function clientTokens({ secret, metadataOf }: Names): string {
  const token = () => randomBytes(32).toString("hex");
  return `# New with each run: applied again, it replaces the tokens that clients have.
apiVersion: v1
kind: Secret
metadata:
  ${metadataOf(secret)}
stringData:
  ${TOKENS_KEY}: |
    rw ${token()}
    ro ${token()}
`;
}
