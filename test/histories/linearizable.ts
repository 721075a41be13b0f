// Is a history of calls that overlap what one copy, asked call by call, could have answered? The search of
// Wing and Gong ("Testing and Verifying Concurrent Objects", 1993) with Lowe's memory of what was tried
// ("Testing for Linearizability", 2017). Imports nothing: it stands outside of whatever it checks.

/** One call as its caller saw it. Moments are by one clock, in any unit. */
export interface Operation<Call> {
  /** What was asked, and, unless it is open, what was answered. */
  readonly call: Call;
  readonly startedAt: number;
  /** null: open. Nobody knows whether it was done, or whether it will be yet. */
  readonly endedAt: number | null;
}

/** The copy: what each call does to a state, and which answers it gives. */
export interface Model<State, Call> {
  readonly initial: State;
  /** The state afterwards, or null if this call cannot have been answered so in this state. */
  step(state: State, call: Call, open: boolean): State | null;
  /** Equal for equal states only. */
  key(state: State): string | number;
}

export type Verdict<Call> =
  | { readonly kind: "linearizable" }
  /** `order`: the longest order that fits; `stuck`: the call whose answer fits in nowhere after it. */
  | { readonly kind: "violated"; readonly order: readonly Call[]; readonly stuck: Call }
  /** Not decided within the steps given. */
  | { readonly kind: "undecided"; readonly steps: number };

interface Event<Call> {
  readonly operation: Operation<Call>;
  readonly index: number;
  /** Of a call: its end. Of an end, and of an open call: null. */
  end: Event<Call> | null;
  readonly isEnd: boolean;
  previous: Event<Call> | null;
  next: Event<Call> | null;
}

/** Looks for an order that the model accepts, of all calls that ended and of any of those that are open. */
export function checkLinearizable<State, Call>(
  model: Model<State, Call>,
  operations: readonly Operation<Call>[],
  maxSteps = 5_000_000,
): Verdict<Call> {
  const head = eventsOf(operations);
  const done = new Uint32Array(Math.ceil(operations.length / 32));
  const tried = new Set<string>();
  const order: { readonly event: Event<Call>; readonly before: State }[] = [];
  let toEnd = operations.filter(({ endedAt }) => endedAt !== null).length;
  let longest: Call[] = [];
  let stuck: Call | null = null;
  let state = model.initial;
  let event = head.next;
  for (let steps = 0; toEnd > 0; steps++) {
    if (steps >= maxSteps) return { kind: "undecided", steps };
    if (event !== null && !event.isEnd) {
      const { operation, index, end } = event;
      const after = model.step(state, operation.call, operation.endedAt === null);
      if (after !== null) {
        flip(done, index);
        const seen = `${model.key(after)} ${done.join()}`;
        if (!tried.has(seen)) {
          tried.add(seen);
          order.push({ event, before: state });
          state = after;
          if (end !== null) toEnd--;
          lift(event);
          event = head.next;
          continue;
        }
        flip(done, index);
      }
      event = event.next;
      continue;
    }
    // The end of a call that nothing has been found for yet, or only open calls that fit in nowhere.
    if (stuck === null || order.length > longest.length) {
      longest = order.map((placed) => placed.event.operation.call);
      stuck = (event ?? (head.next as Event<Call>)).operation.call;
    }
    const last = order.pop();
    if (last === undefined) return { kind: "violated", order: longest, stuck };
    flip(done, last.event.index);
    state = last.before;
    if (last.event.end !== null) toEnd++;
    unlift(last.event);
    event = last.event.next;
  }
  return { kind: "linearizable" };
}

/** Starts and ends in the order of time, behind a head; of one moment the starts come first. */
function eventsOf<Call>(operations: readonly Operation<Call>[]): Event<Call> {
  const events = operations.flatMap((operation, index) => {
    const make = (isEnd: boolean): Event<Call> => {
      return { operation, index, end: null, isEnd, previous: null, next: null };
    };
    const start = make(false);
    if (operation.endedAt !== null) start.end = make(true);
    return start.end === null ? [start] : [start, start.end];
  });
  const at = ({ isEnd, operation }: Event<Call>) =>
    isEnd ? (operation.endedAt as number) : operation.startedAt;
  events.sort((a, b) => at(a) - at(b) || Number(a.isEnd) - Number(b.isEnd) || a.index - b.index);
  const head: Event<Call> = {
    operation: { call: undefined as Call, startedAt: 0, endedAt: null },
    index: -1,
    end: null,
    isEnd: false,
    previous: null,
    next: null,
  };
  let last = head;
  for (const event of events) {
    last.next = event;
    event.previous = last;
    last = event;
  }
  return head;
}

/** Takes a call's start and end out of the list. */
function lift<Call>(start: Event<Call>): void {
  take(start);
  if (start.end !== null) take(start.end);
}

/** Puts them back; the last that were taken come first. */
function unlift<Call>(start: Event<Call>): void {
  if (start.end !== null) putBack(start.end);
  putBack(start);
}

function take<Call>({ previous, next }: Event<Call>): void {
  if (previous !== null) previous.next = next;
  if (next !== null) next.previous = previous;
}

function putBack<Call>(event: Event<Call>): void {
  if (event.previous !== null) event.previous.next = event;
  if (event.next !== null) event.next.previous = event;
}

function flip(bits: Uint32Array, index: number): void {
  const word = index >>> 5;
  bits[word] = ((bits[word] as number) ^ (1 << (index & 31))) >>> 0;
}
