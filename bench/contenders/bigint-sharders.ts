// The five algorithms written straight down with bigints and the runtime's own XXH64: what ours are measured
// beside, and what tests hold them to.

export interface PlainNode {
  readonly name: string;
  /** Above 0. */
  readonly weight: number;
}

export interface PlainSharder {
  /** Name of the owner; there is one. */
  owner(key: bigint): string;
  /** All nodes, the owner first. */
  order(key: bigint): string[];
}

const hash: (input: string | Uint8Array, seed?: bigint) => bigint = Bun.hash.xxHash64;
const wrap = (value: bigint) => BigInt.asUintN(64, value);
const compareNames = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
const compareBigints = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);
const byName = (nodes: readonly PlainNode[]) =>
  [...nodes].sort((a, b) => compareNames(a.name, b.name));
const distinct = (names: readonly string[]) => [...new Set(names)];

/** Point i is the hash of the name and the bytes 0 to i - 1 behind it. */
function points(name: string, from: number, to: number): bigint[] {
  return Array.from({ length: to - from }, (_, index) => {
    const behind = Uint8Array.from({ length: from + index }, (_, at) => at);
    return hash(Buffer.concat([Buffer.from(name), behind]));
  });
}

interface Token {
  readonly token: bigint;
  readonly name: string;
}

function sorted(tokens: Token[]): Token[] {
  return tokens.sort((a, b) => compareBigints(a.token, b.token) || compareNames(a.name, b.name));
}

/** Index of the first token that is not below the key; their number if all are. */
function search(tokens: readonly Token[], key: bigint): number {
  let low = 0;
  let high = tokens.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((tokens[middle] as Token).token < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function walkedFrom(tokens: readonly Token[], index: number): string[] {
  return distinct([...tokens.slice(index), ...tokens.slice(0, index)].map(({ name }) => name));
}

function onCircle(unsorted: Token[]): PlainSharder {
  const tokens = sorted(unsorted);
  return {
    owner: (key) => (tokens[search(tokens, key) % tokens.length] as Token).name,
    order: (key) => walkedFrom(tokens, search(tokens, key)),
  };
}

export function plainRing(nodes: readonly PlainNode[], tokensEach: number): PlainSharder {
  return onCircle(
    nodes.flatMap(({ name, weight }) =>
      points(name, 1, weight * tokensEach + 1).map((token) => ({ token, name })),
    ),
  );
}

export function xorshiftMultiply(value: bigint): bigint {
  let x = value;
  x ^= x >> 12n;
  x = wrap(x ^ (x << 25n));
  x ^= x >> 27n;
  return wrap(x * 2685821657736338717n);
}

export function plainRendezvous(nodes: readonly PlainNode[]): PlainSharder {
  const seats = byName(nodes).map(({ name, weight }) => ({
    name,
    points: points(name, 0, weight),
  }));
  const scoresOf = (key: bigint) =>
    seats.map((seat) => {
      const scores = seat.points.map((point) => xorshiftMultiply(key ^ point));
      return {
        name: seat.name,
        token: scores.reduce((a, b) => (compareBigints(a, b) < 0 ? a : b)),
      };
    });
  return {
    owner: (key) => scoresOf(key).reduce((a, b) => (b.token < a.token ? b : a)).name,
    order: (key) => sorted(scoresOf(key)).map(({ name }) => name),
  };
}

const distance = (a: bigint, b: bigint) => (a < b ? b - a : a - b);

export function plainMultiprobe(nodes: readonly PlainNode[]): PlainSharder {
  const tokens = sorted(
    nodes.flatMap(({ name, weight }) => points(name, 0, weight).map((token) => ({ token, name }))),
  );
  const closest = (key: bigint) => {
    const first = hash(key.toString(16));
    const step = hash(first.toString(16));
    let best = 0;
    let least = 2n ** 64n - 1n;
    for (let probe = 0n; probe < 21n; probe++) {
      const at = wrap(first + probe * step);
      const found = search(tokens, at);
      for (const index of [found - 1, found]) {
        const wrapped = (index + tokens.length) % tokens.length;
        const away = distance((tokens[wrapped] as Token).token, at);
        if (away >= least) continue;
        best = wrapped;
        least = away;
      }
    }
    return best;
  };
  return {
    owner: (key) => (tokens[closest(key)] as Token).name,
    order: (key) => walkedFrom(tokens, closest(key)),
  };
}

export function plainRingHash(
  nodes: readonly PlainNode[],
  minRing: number,
  maxRing: number,
): PlainSharder {
  const total = nodes.reduce((sum, { weight }) => sum + weight, 0);
  const hosts = byName(nodes).map(({ name, weight }) => ({ name, weight: weight / total }));
  const least = Math.min(...hosts.map(({ weight }) => weight));
  const scale = Math.min(Math.ceil(least * minRing) / least, maxRing);
  const tokens: Token[] = [];
  let target = 0;
  for (const { name, weight } of hosts) {
    target += scale * weight;
    for (let entry = 0; tokens.length < target; entry++) {
      tokens.push({ token: hash(`${name}_${entry}`), name });
    }
  }
  return onCircle(tokens);
}

export function plainMaglev(nodes: readonly PlainNode[], size: number): PlainSharder {
  const total = nodes.reduce((sum, { weight }) => sum + weight, 0);
  const hosts = byName(nodes).map(({ name, weight }) => ({
    name,
    weight: weight / total,
    offset: Number(hash(name) % BigInt(size)),
    skip: Number(hash(name, 1n) % BigInt(size - 1)) + 1,
    target: 0,
    next: 0,
  }));
  const most = Math.max(...hosts.map(({ weight }) => weight));
  const table = Array<string | undefined>(size);
  let taken = 0;
  for (let iteration = 1; taken < size; iteration++) {
    for (const host of hosts) {
      if (taken === size || iteration * host.weight < host.target) continue;
      host.target += most;
      const place = () => (host.offset + host.skip * host.next) % size;
      while (table[place()] !== undefined) host.next++;
      table[place()] = host.name;
      taken++;
    }
  }
  const at = (key: bigint) => table[Number(key % BigInt(size))] as string;
  return {
    owner: at,
    order: (key) => {
      const names = new Set([at(key)]);
      for (let attempt = 1n; names.size < hosts.length; attempt++) {
        names.add(at(key ^ (2n ** 64n - attempt)));
      }
      return [...names];
    },
  };
}
