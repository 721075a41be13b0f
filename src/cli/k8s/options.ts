import * as z from "zod/mini";
import { version } from "../../../package.json";
import { NO_STORE } from "../../store/open.ts";
import { PLACEHOLDER_PATH, pathProblem } from "../../store/spanner/path.ts";
import type { Flag } from "../flag.ts";
import * as values from "../values.ts";

const section = "Manifest";
const typedOnly = true;

/** Stands in the manifest until it is edited: `serve` refuses it and says what to give. */
const STORE_TO_EDIT = `spanner:${PLACEHOLDER_PATH}`;

const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** What names a Service, which is the strictest. */
const NAME = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** `HOST:PORT/` if there is one, the repository, `:TAG` and `@sha256:DIGEST` if they are there. */
const IMAGE =
  /^(?=.{1,512}$)([a-z0-9.-]+(:\d+)?\/)?[a-z0-9]+([._-]+[a-z0-9]+)*(\/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:\w[\w.-]{0,127})?(@sha256:[0-9a-f]{64})?$/;
const ACCOUNT = /^[a-z0-9-]+@[a-z0-9.-]+\.gserviceaccount\.com$/;

/** The flags of `hedgerow k8s manifest`. */
export const MANIFEST_FLAGS = {
  image: {
    schema: values.readable(
      "give an image without a scheme and with a repository in lower case, as in registry.example/hedgerow:1.0.0",
      (text) => (IMAGE.test(text) ? text : undefined),
    ),
    value: "IMAGE",
    fallback: `hedgerow:${version}`,
    section,
    typedOnly,
    help: "image that the pods run",
  },
  store: {
    schema: z.string().check(({ value, issues }) => {
      const problem = storeProblem(value);
      if (problem !== null) issues.push({ code: "custom", message: problem, input: value });
    }),
    value: "URL",
    fallback: STORE_TO_EDIT,
    section,
    help: "the Spanner database that the pods share",
  },
  replicas: {
    schema: values.integer(1, 1_000),
    value: "N",
    fallback: "3",
    section,
    typedOnly,
    help: "how many pods",
  },
  name: {
    schema: values.readable(
      "give lower-case letters, digits and -, beginning with a letter, at most 63",
      (text) => (NAME.test(text) ? text : undefined),
    ),
    value: "NAME",
    fallback: "hedgerow",
    section,
    typedOnly,
    help: "name of the Deployment, of what goes with it, and of the cluster's lock",
  },
  grpc: {
    schema: values.yesNo,
    fallback: "false",
    section,
    typedOnly,
    help: "serve native gRPC too, at port 8081",
  },
  newTokens: {
    schema: values.yesNo,
    fallback: "false",
    section,
    typedOnly,
    help: "also print the Secret NAME-clients with two new tokens, rw and ro; without it the pods wait for one of yours",
  },
  namespace: {
    schema: values.readable("give lower-case letters, digits and -, at most 63", (text) =>
      text === "" ? null : NAMESPACE.test(text) ? text : undefined,
    ),
    value: "NAMESPACE",
    fallback: "",
    section,
    typedOnly,
    help: "namespace; empty: the one that kubectl applies to",
  },
  gcpServiceAccount: {
    schema: values.readable("give NAME@PROJECT.iam.gserviceaccount.com", (text) =>
      text === "" ? null : ACCOUNT.test(text) ? text : undefined,
    ),
    value: "EMAIL",
    fallback: "",
    section,
    typedOnly,
    help: "Google service account of the pods (Workload Identity); empty: NAME at the store's project",
  },
} as const satisfies Record<string, Flag<unknown>>;

/** What is wrong with a store that pods are to share, and how to mend it; null if nothing is. */
function storeProblem(store: string): string | null {
  if (store === STORE_TO_EDIT) return null;
  if (store === NO_STORE) {
    return "this manifest is of pods that share a database: docs/KUBERNETES.md has what pods without one need";
  }
  const [, path] = /^spanner:(.*)$/s.exec(store) ?? [];
  return path === undefined
    ? "pods share no file: give spanner:projects/P/instances/I/databases/D"
    : pathProblem(path);
}
