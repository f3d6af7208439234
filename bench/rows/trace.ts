import { randomBytes } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { until } from '../../e2e/setup/until.ts';
import { OtlpReceiver, type ReceivedSpan } from '../../packages/telemetry/test/otlp-receiver.ts';
import type { Measurement } from '../report/measurement.ts';
import type { Row, RowContext } from './row.ts';

const REFILL_MS = 1_500;

/**
 * What a create consists of, from outside to inside: each has its time without that of what is in it. `client`: the SDK, until it has
 * sent its request and from the head of the answer on. `connection`: what is left, which nobody measures by itself.
 */
const PARTS = ['connection', 'client', 'api', 'call', 'node', 'driver', 'envd'] as const;
type Part = (typeof PARTS)[number];
type Shares = Record<Part, number>;

function partOf({ part, name }: ReceivedSpan): Part {
  if (name.includes('/CreateSandbox')) return part === 'islet.api' ? 'call' : 'node';
  return part.replace('islet.', '') as Part;
}

/** Where the milliseconds of one create went. @param whole what the client saw, ms @param client of it, the SDK's own */
function sharesOf(spans: readonly ReceivedSpan[], whole: number, client: number): Shares {
  const shares: Shares = { connection: whole - client, client, api: 0, call: 0, node: 0, driver: 0, envd: 0 };
  for (const span of spans) {
    const ms = span.end - span.start;
    shares[partOf(span)] += ms;
    const parent = spans.find(({ spanId }) => spanId === span.parentId);
    shares[parent ? partOf(parent) : 'connection'] -= ms;
  }
  return shares;
}

/** When Node's client has sent the last request, and has the head of its answer, as performance.now() has it. */
class RequestTimes implements Disposable {
  sent = Number.NaN;
  answered = Number.NaN;
  readonly #onSent = () => {
    this.sent = performance.now();
  };
  readonly #onAnswered = () => {
    this.answered = performance.now();
  };

  constructor() {
    subscribe('undici:request:bodySent', this.#onSent);
    subscribe('undici:request:headers', this.#onAnswered);
  }

  [Symbol.dispose](): void {
    unsubscribe('undici:request:bodySent', this.#onSent);
    unsubscribe('undici:request:headers', this.#onAnswered);
  }
}

/** One create through the SDK within a trace of the client's. */
async function traced({ islet }: RowContext, receiver: OtlpReceiver): Promise<Shares> {
  const { apiKey, apiUrl, sandboxUrl } = islet.access;
  const id = randomBytes(16).toString('hex');
  const headers = { traceparent: `00-${id}-${randomBytes(8).toString('hex')}-01` };
  using request = new RequestTimes();
  const begin = performance.now();
  const sandbox = await Sandbox.create({ apiKey, apiUrl, sandboxUrl, headers });
  const whole = performance.now() - begin;
  const client = whole - (request.answered - request.sent);
  const spans = () => receiver.spans.filter(({ traceId }) => traceId === id);
  const came = await until('the trace of a create has come', 30_000, spans, (all) =>
    all.some(({ name }) => name === 'POST /v2/sandboxes'),
  );
  await sandbox.kill();
  return sharesOf(came, whole, client);
}

async function measureCreates(context: RowContext, how: string, options: string[]): Promise<Measurement[]> {
  await using receiver = await OtlpReceiver.open();
  await context.islet.restart(options, {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_BSP_SCHEDULE_DELAY: '50',
  });
  const rounds = context.size === 'full' ? 20 : 5;
  const all: Shares[] = [];
  for (let round = 0; round <= rounds; round++) {
    context.signal.throwIfAborted();
    await sleep(REFILL_MS);
    const shares = await traced(context, receiver);
    if (round > 0) all.push(shares);
    context.progress(round, rounds);
  }
  const measured = (what: string, of: (shares: Shares) => number): Measurement => {
    const samples = all.map(of);
    return { row: 'trace', what: `${how}: ${what}`, unit: 'ms', samples, targets: [] };
  };
  const whole = (shares: Shares) => PARTS.reduce((sum, part) => sum + shares[part], 0);
  const covered = measured(
    'what the trace and the client cover',
    (shares) => whole(shares) - shares.connection,
  );
  const seen = all.map(whole);
  return [
    { ...covered, baseline: { what: 'the client saw', samples: seen } },
    ...PARTS.map((part) => measured(part, (shares) => shares[part])),
  ];
}

export const traceRow: Row = {
  name: 'trace',
  description:
    'where the milliseconds of a create through the SDK go, by its trace: each part without those in it',
  async measure(context) {
    const warm = await measureCreates(context, 'kept ready', []);
    const cold = await measureCreates(context, 'started', ['--warm-memory', '0']);
    await context.islet.restart();
    return [...warm, ...cold];
  },
};
