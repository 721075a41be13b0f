// Kubernetes resources as far as the tests look into them.

export interface Container {
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly EnvironmentVariable[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly lifecycle: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
  readonly securityContext: unknown;
}

export interface EnvironmentVariable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
}

export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

export interface Pod {
  readonly containers: readonly [Container];
  readonly serviceAccountName: string;
  readonly securityContext: {
    readonly runAsUser: number;
    readonly runAsGroup: number;
    readonly fsGroup: number;
  };
  readonly terminationGracePeriodSeconds: number;
  readonly topologySpreadConstraints: readonly {
    readonly labelSelector: { readonly matchLabels: Labels };
  }[];
  readonly volumes: readonly {
    readonly name: string;
    readonly secret?: { readonly secretName: string; readonly defaultMode: number };
  }[];
}

export type Labels = Readonly<Record<string, string>>;

interface Resource<Kind extends string, Spec> {
  readonly kind: Kind;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Spec;
}

export interface Resources {
  /** With `--new-tokens` alone. */
  readonly Secret: Resource<"Secret", never> & { readonly stringData: { readonly tokens: string } };
  readonly ServiceAccount: Resource<"ServiceAccount", never>;
  readonly Deployment: Resource<
    "Deployment",
    {
      readonly replicas: number;
      readonly selector: { readonly matchLabels: Labels };
      readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: Pod };
    }
  >;
  readonly Service: Resource<
    "Service",
    { readonly selector: Labels; readonly ports: readonly { readonly targetPort: string }[] }
  >;
  readonly PodDisruptionBudget: Resource<
    "PodDisruptionBudget",
    { readonly selector: { readonly matchLabels: Labels } }
  >;
  readonly NetworkPolicy: Resource<
    "NetworkPolicy",
    {
      readonly podSelector: { readonly matchLabels: Labels };
      readonly ingress: readonly {
        readonly from: readonly { readonly podSelector: { readonly matchLabels?: Labels } }[];
        readonly ports: readonly { readonly port: string }[];
      }[];
    }
  >;
}

/** The resources of a manifest by their kind; each kind is there once. */
export function resourcesOf(yaml: string): Resources {
  const parsed = Bun.YAML.parse(yaml) as { readonly kind: string }[];
  const byKind = Object.fromEntries(parsed.map((resource) => [resource.kind, resource]));
  if (parsed.length !== Object.keys(byKind).length) throw new Error("a kind is there twice");
  return byKind as unknown as Resources;
}

/** What a container is started with, once Kubernetes has filled in the pod's own fields. */
export function startOf(container: Container, fields: Readonly<Record<string, string>>) {
  const env: Record<string, string> = {};
  const filled = (text: string) =>
    text.replace(/\$\((\w+)\)/g, (reference, name: string) => env[name] ?? reference);
  for (const { name, value, valueFrom } of container.env) {
    env[name] =
      valueFrom === undefined ? filled(value ?? "") : (fields[valueFrom.fieldRef.fieldPath] ?? "");
  }
  return { env, args: container.args.map(filled) };
}
