import { afterEach, beforeEach, expect, it } from 'vitest';

/** A sink with what keeps its records behind it, on whatever way they get there. */
export interface SinkSubject<Sink, Source> extends AsyncDisposable {
  sink: Sink;
  source: Source;
  /** Resolves when each record that was given before can be read, or was dropped. */
  settled(): Promise<void>;
  /** Keeps what is behind the sink from taking anything in. Gives back the way to let it. */
  stall(): () => void;
  /** How many records were dropped before anybody had taken them. */
  dropped(): number;
}

export interface SinkBounds {
  /** What may wait, in characters of the records' texts. */
  waiting: number;
}

export type OpenSink<Sink, Source> = (bounds: SinkBounds) => Promise<SinkSubject<Sink, Source>>;

/** How one kind of record is made and read. */
export interface Kind<T, Source> {
  /** The `index`th record of a sandbox; later ones have later times. */
  make(teamId: string, sandboxId: string, index: number): T;
  /** The indexes of a sandbox's records, in the order of the source. */
  read(source: Source, teamId: string, sandboxId: string): Promise<number[]>;
}

const BOUNDS: SinkBounds = { waiting: 100_000 };

/** Numbers from 0. */
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

/** What every sink must do, whatever is recorded. Gives the sink that each test of the suite has for itself. */
export function sinkContract<T, Sink extends { record(record: T): void }, Source>(
  { make, read }: Kind<T, Source>,
  open: OpenSink<Sink, Source>,
): () => SinkSubject<Sink, Source> {
  let subject: SinkSubject<Sink, Source>;
  beforeEach(async () => {
    subject = await open(BOUNDS);
  });
  afterEach(() => subject[Symbol.asyncDispose]());

  it('keeps all in the order of each sandbox, however many there are', async () => {
    const ids = ['ia', 'ib', 'ic'];
    for (const index of upTo(100)) for (const id of ids) subject.sink.record(make('t1', id, index));
    await subject.settled();
    for (const id of ids) expect(await read(subject.source, 't1', id)).toEqual(upTo(100));
    expect(subject.dropped()).toBe(0);
  });

  it('waits for no one: a record is kept sometime later', async () => {
    const goOn = subject.stall();
    expect(subject.sink.record(make('t1', 'ia', 0))).toBeUndefined();
    subject.sink.record(make('t1', 'ia', 1));
    expect(await read(subject.source, 't1', 'ia')).toEqual([]);
    goOn();
    await subject.settled();
    expect(await read(subject.source, 't1', 'ia')).toEqual([0, 1]);
  });

  it('keeps once what comes twice', async () => {
    for (const index of [0, 1, 0, 1]) subject.sink.record(make('t1', 'ia', index));
    await subject.settled();
    subject.sink.record(make('t1', 'ia', 1));
    await subject.settled();
    expect(await read(subject.source, 't1', 'ia')).toEqual([0, 1]);
  });

  it('shows a team nothing of another one, under whatever id', async () => {
    subject.sink.record(make('t1', 'ia', 0));
    subject.sink.record(make('t2', 'ia', 1));
    await subject.settled();
    expect(await read(subject.source, 't1', 'ia')).toEqual([0]);
    expect(await read(subject.source, 't2', 'ia')).toEqual([1]);
    expect(await read(subject.source, 't3', 'ia')).toEqual([]);
  });

  it('drops the oldest and counts them if more wait than may', async () => {
    const goOn = subject.stall();
    for (const index of upTo(2_000)) subject.sink.record(make('t1', 'ia', index));
    goOn();
    await subject.settled();
    const kept = await read(subject.source, 't1', 'ia');
    expect(kept.length).toBeGreaterThan(10);
    expect(kept.length).toBeLessThan(1_000);
    expect(kept).toEqual(upTo(2_000).slice(-kept.length));
    expect(subject.dropped()).toBe(2_000 - kept.length);
  });

  it('drops nothing of a team for another one that floods', async () => {
    const goOn = subject.stall();
    for (const index of upTo(20)) subject.sink.record(make('quiet', 'ia', index));
    for (const index of upTo(2_000)) subject.sink.record(make('loud', `i${index % 50}`, index));
    for (const index of upTo(40).slice(20)) subject.sink.record(make('quiet', 'ia', index));
    goOn();
    await subject.settled();
    expect(await read(subject.source, 'quiet', 'ia')).toEqual(upTo(40));
    expect(subject.dropped()).toBeGreaterThan(1_000);
  });

  it('takes nothing that is kept of a team for another one that records much', async () => {
    for (const index of upTo(20)) subject.sink.record(make('quiet', 'ia', index));
    for (let from = 0; from < 2_000; from += 250) {
      for (const index of upTo(from + 250).slice(from)) {
        subject.sink.record(make('loud', `i${index % 50}`, index));
      }
      await subject.settled();
    }
    expect(await read(subject.source, 'quiet', 'ia')).toEqual(upTo(20));
    const newest = await read(subject.source, 'loud', 'i49');
    expect(newest.at(-1)).toBe(1_999);
  });

  return () => subject;
}
