import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Edge, sandboxRoute } from '../edge.ts';
import { sendHttp1, sendHttp2 } from './attackers.ts';
import { http1Requests } from './http1-requests.ts';
import { http2Streams, type StreamToSend } from './http2-streams.ts';
import { PythonReader } from './python-reader.ts';
import { type ReadRequest, Recorder, type Recording } from './recorder.ts';

/** Of both protocols together; `npm run test:differential` has more. */
const CASES = Number(process.env.ISLET_DIFFERENTIAL_CASES ?? 1000);
/** The same cases in each run of the short form; others in each run of the long one, unless it is given. */
const SEED = Number(
  process.env.ISLET_DIFFERENTIAL_SEED ??
    (process.env.ISLET_DIFFERENTIAL_CASES === undefined ? 1 : Date.now() % 1_000_000_000),
);
/** Cases on their way at once. */
const BATCH = 100;
const TIMEOUT_MS = 120_000 + CASES * 60;
const ADDRESS = '127.0.0.34';

let edge: Edge;
let sandbox: Recorder;
let python: PythonReader;
const open = sandboxRoute(ADDRESS);
const closed = sandboxRoute(ADDRESS, {
  trafficAccessToken: 'c'.repeat(64),
  ingress: { publicTraffic: false },
});
let hosts: { open: string; closed: string };

beforeAll(async () => {
  edge = await Edge.start();
  sandbox = await Recorder.start(ADDRESS);
  python = new PythonReader();
  for (const route of [open, closed]) await edge.routes.put(route);
  hosts = {
    open: `${sandbox.port}-${open.sandboxId}.localhost`,
    closed: `${sandbox.port}-${closed.sandboxId}.localhost`,
  };
});
afterAll(async () => {
  await edge[Symbol.asyncDispose]();
  await sandbox[Symbol.asyncDispose]();
  python[Symbol.dispose]();
});

/** Sends generated cases, some at once, and has everything judged that reached the sandbox. Gives back how many requests did. */
async function attack<T>(
  cases: fc.Arbitrary<T>,
  send: (one: T) => Promise<void>,
  judge: (sent: readonly T[], request: ReadRequest) => void,
): Promise<number> {
  let arrived = 0;
  // What was broken off may still arrive with the next ones.
  let earlier: readonly T[] = [];
  for (let done = 0; done < CASES / 2; done += BATCH) {
    const sent = fc.sample(cases, { numRuns: BATCH, seed: SEED + done });
    await Promise.all(sent.map(send));
    const recordings = sandbox.take();
    try {
      await expectOneReading(recordings);
      for (const { requests } of recordings) {
        for (const request of requests) if (!isUnknownMethod(request)) judge([...earlier, ...sent], request);
        arrived += requests.length;
      }
      earlier = sent;
    } catch (error) {
      throw new Error(`ISLET_DIFFERENTIAL_SEED=${SEED + done}: ${JSON.stringify(sent)}`, { cause: error });
    }
  }
  return arrived;
}

/** Another server reads in the same bytes the same requests, up to a method that one of them does not know. */
async function expectOneReading(recordings: readonly Recording[]): Promise<void> {
  const readings = await python.read(recordings.map(({ bytes }) => bytes));
  for (const [i, { bytes, requests }] of recordings.entries()) {
    const unknown = requests.findIndex(isUnknownMethod);
    const comparable = (all: readonly ReadRequest[] = []) => (unknown === -1 ? all : all.slice(0, unknown));
    expect(comparable(requests), bytes.toString('latin1')).toEqual(comparable(readings[i]));
  }
}

function isUnknownMethod({ error }: ReadRequest): boolean {
  return /Invalid method/.test(String(error));
}

/** It is a request, and for the sandbox that everybody reaches. */
function expectAdmitted(request: ReadRequest): asserts request is Extract<ReadRequest, { method: string }> {
  if (request.error !== undefined) throw new Error(`the sandbox got no request: ${request.error}`);
  const given = request.fields.filter(([name]) => name === 'host').map(([, value]) => value);
  expect(given).toHaveLength(1);
  // The label in front says which sandbox; the domain behind it may be any.
  const [label = ''] = hosts.open.split('.');
  expect(given[0]?.toLowerCase()).toMatch(new RegExp(`^${label}(?:-[^.]*)?\\.`));
  expect(request.target).not.toContain('smuggled');
  const hops = request.fields.filter(([name]) =>
    /^(?:keep-alive|proxy-connection|http2-settings)$/.test(name),
  );
  expect(hops).toEqual([]);
}

it(
  'what clients of HTTP/1.1 send is read in one way',
  async () => {
    const arrived = await attack(
      http1Requests(hosts),
      (bytes) => sendHttp1(edge.port, bytes, hosts.open),
      (_, request) => expectAdmitted(request),
    );
    // What is refused is never compared: enough have to be good ones.
    expect(arrived).toBeGreaterThan(CASES / 20);
  },
  TIMEOUT_MS,
);

it(
  'what clients of HTTP/2 send becomes one request, of what they sent',
  async () => {
    const arrived = await attack(
      http2Streams(hosts),
      (stream) => sendHttp2(edge.port, stream),
      (sent, request) => {
        expectAdmitted(request);
        if (!sent.some((stream) => isOf(stream, request))) {
          throw new Error(`no client sent ${JSON.stringify(request)}`);
        }
      },
    );
    expect(arrived).toBeGreaterThan(CASES / 20);
  },
  TIMEOUT_MS,
);

/** Fields that the edge makes. */
const MADE = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'te',
  'connection',
  'upgrade',
  'cookie',
]);

/** Whether nothing in the request but what the edge makes comes from elsewhere than the stream. */
function isOf(stream: StreamToSend, request: Extract<ReadRequest, { method: string }>): boolean {
  const sent = new Map<string, string[]>();
  for (const [name, value] of stream.head) sent.set(name, [...(sent.get(name) ?? []), value.trim()]);
  return (
    sent.get(':method')?.[0] === request.method &&
    stream.data.join('') === request.body &&
    request.fields.every(([name, value]) => {
      const values = sent.get(name) ?? [];
      // Several of one name are joined; nghttp2 leaves out those that may be in no field.
      return MADE.has(name) || value.split(',').every((part) => values.includes(part.trim()));
    })
  );
}
