import { type ManifestConfig, type Names, TOKENS_KEY } from "./names.ts";

const TOKENS_FOLDER = "/etc/hedgerow/clients";

/** The Deployment as YAML, with comments for those who edit it. */
export function deployment(
  config: ManifestConfig,
  { name, secret, metadata, labels }: Names,
): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata:
  ${metadata}
spec:
  replicas: ${config.replicas}
  revisionHistoryLimit: 5
  strategy:
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      ${labels(6)}
  template:
    metadata:
      labels:
        ${labels(8)}
    spec:
      serviceAccountName: ${name}
      # Nothing in the pod talks to Kubernetes.
      automountServiceAccountToken: false
      # Kubernetes would describe Services in variables of its own that begin with HEDGEROW_.
      enableServiceLinks: false
      # preStop takes 5 s of it; a stop takes less than 1 s, and less than 20 s where nothing answers.
      terminationGracePeriodSeconds: 30
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        seccompProfile:
          type: RuntimeDefault
      topologySpreadConstraints:
        - topologyKey: topology.kubernetes.io/zone
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          matchLabelKeys: [pod-template-hash]
          labelSelector:
            matchLabels:
              ${labels(14)}
        - topologyKey: kubernetes.io/hostname
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          matchLabelKeys: [pod-template-hash]
          labelSelector:
            matchLabels:
              ${labels(14)}
      containers:
        - name: hedgerow
          image: ${JSON.stringify(config.image)}
          args: ${args(config)}
          env:
            - name: POD_IP
              valueFrom:
                fieldRef:
                  fieldPath: status.podIP
            - name: POD_NAMESPACE
              valueFrom:
                fieldRef:
                  fieldPath: metadata.namespace
            - name: HEDGEROW_STORE
              value: ${JSON.stringify(config.store)}
            # Nodes with one lock in one database are one cluster.
            - name: HEDGEROW_LOCK_NAME
              value: ${JSON.stringify(config.name)}
            - name: HEDGEROW_LOG_FORMAT
              value: json
            # Spilled records go to the one volume that may be written, and leave it room.
            - name: HEDGEROW_SPILL_DIR
              value: /data
            - name: HEDGEROW_SPILL_DISK
              value: 768MiB
            # The Service's names: a listener that is called by another name than its own refuses.
            - name: HEDGEROW_HTTP_HOSTS
              value: ${JSON.stringify(serviceNames(config.name).join(","))}
            # Who shows none of these tokens is refused; probes need none.
            - name: HEDGEROW_CLIENT_TOKEN_FILE
              value: ${TOKENS_FOLDER}/${TOKENS_KEY}
          ports:
            - name: peer
              containerPort: 8080
            - name: http
              containerPort: 9090
${config.grpc ? GRPC_PORT : ""}          livenessProbe:
            httpGet:
              path: /livez
              port: http
            periodSeconds: 10
            timeoutSeconds: 2
            failureThreshold: 3
          readinessProbe:
            httpGet:
              path: /readyz
              port: http
            periodSeconds: 5
            timeoutSeconds: 2
            failureThreshold: 2
          lifecycle:
            preStop:
              # The Service stops sending requests before the node stops taking them.
              sleep:
                seconds: 5
          resources:
            requests:
              cpu: 100m
              memory: 128Mi
            # None for the CPU: throttling would delay renewals of the lease.
            limits:
              memory: 512Mi
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          volumeMounts:
            - name: data
              mountPath: /data
            - name: clients
              mountPath: ${TOKENS_FOLDER}
              readOnly: true
      volumes:
        # Lines of "rw TOKEN" and "ro TOKEN" in its key ${TOKENS_KEY}. The pods wait until it is there.
        - name: clients
          secret:
            secretName: ${secret}
            defaultMode: 288 # 0440: fsGroup's members read it
        - name: data
          emptyDir:
            sizeLimit: 1Gi
`;
}

const GRPC_PORT = `            - name: grpc
              containerPort: 8081
`;

function args({ grpc }: ManifestConfig): string {
  const all = ["serve", "--peer-addr", "$(POD_IP):8080", "--http-addr", ":9090"];
  if (grpc) all.push("--grpc-addr", ":8081");
  return `[${all.map((word) => JSON.stringify(word)).join(", ")}]`;
}

/** Every name under which pods may call the Service. */
function serviceNames(service: string): string[] {
  const ends = ["", ".$(POD_NAMESPACE)", ".$(POD_NAMESPACE).svc"];
  return [...ends, `${ends.at(-1)}.cluster.local`].map((end) => service + end);
}
