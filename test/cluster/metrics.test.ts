import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster, freePorts, until } from "./processes.ts";

// A real Prometheus (Debian's package prometheus) scrapes a real cluster.

const missing = Bun.which("prometheus") === null ? "there is no prometheus" : null;
if (missing !== null) process.stderr.write(`SKIPPED: a Prometheus that scrapes: ${missing}\n`);

const CLIENTS_MS = 20_000;

interface Result {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

/** One Prometheus with its files in a folder of its own. */
class Prometheus implements AsyncDisposable {
  private constructor(
    private readonly folder: string,
    private readonly url: string,
    private readonly child: Bun.Subprocess<"ignore", "ignore", "ignore">,
  ) {}

  static async start(targets: readonly string[]): Promise<Prometheus> {
    const folder = await mkdtemp(join(tmpdir(), "hedgerow-prometheus-"));
    const [port] = await freePorts(1);
    const scrape = { job_name: "hedgerow", static_configs: [{ targets }] };
    const config = { global: { scrape_interval: "1s" }, scrape_configs: [scrape] };
    const file = join(folder, "prometheus.yml"); // JSON is YAML
    await Bun.write(file, JSON.stringify(config));
    const words = [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ];
    const child = Bun.spawn(["prometheus", ...words], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    return new Prometheus(folder, `http://127.0.0.1:${port}`, child);
  }

  /** Throws for an expression that it does not understand. */
  async query(expression: string): Promise<Result[]> {
    const body = new URLSearchParams({ query: expression });
    const response = await fetch(`${this.url}/api/v1/query`, { method: "POST", body });
    const answer = (await response.json()) as { error?: string; data: { result: Result[] } };
    if (!response.ok) throw new Error(`${expression}: ${answer.error}`);
    return answer.data.result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
    await rm(this.folder, { recursive: true });
  }
}

/** The first column of the table under `heading`, without its quotes. */
async function documentedExpressions(heading: string): Promise<string[]> {
  const text = await Bun.file(join(import.meta.dir, "../../docs/METRICS.md")).text();
  const section = text.split(`## ${heading}`)[1]?.split("\n## ")[0] ?? "";
  const rows = section.matchAll(/^\| `((?:[^`])+)` /gm);
  return [...rows].map(([, expression = ""]) => expression.replaceAll("\\|", "|"));
}

describe.skipIf(missing !== null)("a Prometheus that scrapes", () => {
  test(
    "finds every node up, one leader, and means something by every expression of the documentation",
    async () => {
      await using cluster = await Cluster.start();
      const leader = await cluster.settled();
      for (const node of cluster.nodes) await node.put("key", "value", node.address);
      const targets = cluster.nodes.map(({ url }) => new URL(url).host);
      await using prometheus = await Prometheus.start(targets);
      await until("it has scraped all", CLIENTS_MS, async () => {
        const up = await prometheus.query("up == 1").catch(() => []);
        return up.length === targets.length;
      });
      const leads = await prometheus.query("hedgerow_is_leader == 1");
      expect(leads.map(({ metric }) => metric.instance)).toEqual([new URL(leader.url).host]);
      const peers = await prometheus.query('hedgerow_cluster_node_peers{state="participant"}');
      expect(peers.map(({ value }) => value[1])).toEqual(["3", "3", "3"]);
      const puts = await prometheus.query('sum(hedgerow_calls_total{call="put",code="ok"})');
      expect(puts[0]?.value[1]).toBe("3");
      const slow =
        'histogram_quantile(1, sum by (le) (hedgerow_call_duration_seconds_bucket{call="put"}))';
      expect(Number((await prometheus.query(slow))[0]?.value[1])).toBeLessThan(5);
      const alerts = await documentedExpressions("Worth an alert");
      expect(alerts.length).toBeGreaterThan(4);
      for (const alert of alerts)
        expect([alert, await prometheus.query(alert)]).toEqual([alert, []]);
    },
    3 * CLIENTS_MS,
  );
});
