import type { Attributes, Counter, Histogram, Meter } from '@opentelemetry/api';

/** What this thread's figures are given to. Undefined: nobody asks for any, and none are kept. */
let meter: Meter | undefined;

/** Has all instruments give their figures to a meter from now on. @returns takes it back */
export function useMeter(chosen: Meter): () => void {
  meter = chosen;
  return () => {
    if (meter === chosen) meter = undefined;
  };
}

/** Whether anybody asks for figures. */
export function isMeasured(): boolean {
  return meter !== undefined;
}

/** Bounds of durations, seconds: a create with something kept ready takes 0.01, a build minutes. */
const SECONDS = [
  ...[0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.175, 0.25, 0.375],
  ...[0.5, 0.75, 1, 2.5, 5, 10, 30, 60, 180, 600],
];

/** A name by OpenTelemetry's habits, such as `orchestrator.sandbox.create.duration`, and what it counts, for people. */
export interface InstrumentFacts {
  name: string;
  description: string;
}

/** An instrument that is made when it is first used with a meter. */
class Lazy<Instrument> {
  readonly #make: (meter: Meter) => Instrument;
  #made: { meter: Meter; instrument: Instrument } | undefined;

  constructor(make: (meter: Meter) => Instrument) {
    this.#make = make;
  }

  get(): Instrument | undefined {
    if (!meter) return undefined;
    if (this.#made?.meter !== meter) this.#made = { meter, instrument: this.#make(meter) };
    return this.#made.instrument;
  }
}

/** How long something takes. Attributes have few values: never an id of a sandbox, a team or a template. */
export class Durations {
  readonly #histogram: Lazy<Histogram>;

  constructor({ name, description }: InstrumentFacts) {
    const advice = { explicitBucketBoundaries: SECONDS };
    this.#histogram = new Lazy((meter) => meter.createHistogram(name, { description, unit: 's', advice }));
  }

  /** @param ms milliseconds; the figure is given in seconds */
  record(ms: number, attributes?: Attributes): void {
    this.#histogram.get()?.record(ms / 1000, attributes);
  }

  /** Times something; how it ended becomes the attribute `outcome`. */
  async time<T>(attributes: Attributes, work: () => Promise<T>): Promise<T> {
    if (!meter) return work();
    const begin = performance.now();
    let outcome = 'failure';
    try {
      const result = await work();
      outcome = 'success';
      return result;
    } finally {
      this.record(performance.now() - begin, { ...attributes, outcome });
    }
  }
}

/** Bounds of sizes, bytes: a sandbox's root file system takes from some MiB to many GiB. */
const BYTES = Array.from({ length: 8 }, (_, power) => 1024 ** 2 * 4 ** power);

/** How large something is. Attributes as with `Durations`. */
export class Sizes {
  readonly #histogram: Lazy<Histogram>;

  constructor({ name, description }: InstrumentFacts) {
    const advice = { explicitBucketBoundaries: BYTES };
    this.#histogram = new Lazy((meter) => meter.createHistogram(name, { description, unit: 'By', advice }));
  }

  record(bytes: number, attributes?: Attributes): void {
    this.#histogram.get()?.record(bytes, attributes);
  }
}

/** How often something happens. Attributes as with `Durations`. */
export class Count {
  readonly #counter: Lazy<Counter>;

  constructor({ name, description }: InstrumentFacts) {
    this.#counter = new Lazy((meter) => meter.createCounter(name, { description }));
  }

  add(attributes?: Attributes, times = 1): void {
    this.#counter.get()?.add(times, attributes);
  }
}

export interface GaugeOptions extends InstrumentFacts {
  /** `By` for bytes; absent: it counts things. */
  unit?: 'By' | 's';
  /** How it stands now, or several figures with what sets them apart. Called whenever somebody asks. */
  read: () => number | readonly (readonly [number, Attributes])[];
}

/** How much there is of something now. Disposed of, it is asked no more. */
export function openGauge({ name, description, unit, read }: GaugeOptions): Disposable {
  const gauge = meter?.createObservableGauge(name, { description, ...(unit && { unit }) });
  const observe: Parameters<NonNullable<typeof gauge>['addCallback']>[0] = (result) => {
    const figures = read();
    if (typeof figures === 'number') result.observe(figures);
    else for (const [figure, attributes] of figures) result.observe(figure, attributes);
  };
  gauge?.addCallback(observe);
  return { [Symbol.dispose]: () => gauge?.removeCallback(observe) };
}
