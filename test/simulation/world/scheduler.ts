import { drainMicrotasks } from "bun:jsc";
import type { Timer } from "../../../src/runtime/runtime.ts";

interface Event {
  readonly at: number;
  readonly order: number;
  run: (() => void) | null;
}

/**
 * The simulated world's time: events in order of their moment, then of their making. After each event all
 * promises that it settled have run, so that one seed always gives one history.
 */
export class Scheduler {
  /** Milliseconds since the world began. */
  now = 0;
  events = 0;
  /** Looks at the world after each event: where checkers stand. */
  afterEach: () => void = () => {};
  readonly #heap: Event[] = [];
  #order = 0;

  at(moment: number, run: () => void): Timer {
    const event: Event = { at: Math.max(moment, this.now), order: this.#order++, run };
    push(this.#heap, event);
    return {
      cancel() {
        event.run = null;
      },
    };
  }

  after(ms: number, run: () => void): Timer {
    return this.at(this.now + Math.max(0, ms), run);
  }

  /** Runs everything up to a moment; not to be called from an event. */
  runUntil(moment: number): void {
    // What was called from outside of the events comes first.
    drainMicrotasks();
    for (let next = this.#heap[0]; next !== undefined && next.at <= moment; next = this.#heap[0]) {
      pop(this.#heap);
      if (next.run === null) continue;
      this.now = next.at;
      this.events++;
      next.run();
      drainMicrotasks();
      this.afterEach();
    }
    this.now = moment;
  }

  /** Runs until `done`, or to the moment; tells whether it was done. */
  runUntilDone(moment: number, done: () => boolean): boolean {
    drainMicrotasks();
    while (!done() && this.now < moment) {
      const next = this.#heap[0]?.at ?? moment;
      this.runUntil(Math.min(moment, Math.max(next, this.now)));
    }
    return done();
  }
}

const before = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.order < b.order);

function push(heap: Event[], event: Event): void {
  let i = heap.push(event) - 1;
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (!before(event, heap[parent] as Event)) break;
    heap[i] = heap[parent] as Event;
    i = parent;
  }
  heap[i] = event;
}

function pop(heap: Event[]): void {
  const last = heap.pop() as Event;
  if (heap.length === 0) return;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event)) child++;
    if (!before(heap[child] as Event, last)) break;
    heap[i] = heap[child] as Event;
    i = child;
  }
  heap[i] = last;
}
