import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { OtlpReceiver, type ReceivedSpan } from '../../packages/telemetry/test/otlp-receiver.ts';
import { Roles } from '../roles/roles.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { until } from '../setup/until.ts';

/** Sends what there is soon. */
const SOON = { OTEL_BSP_SCHEDULE_DELAY: '100', OTEL_METRIC_EXPORT_INTERVAL: '500' };

let receiver: OtlpReceiver;
beforeAll(async () => {
  receiver = await OtlpReceiver.open();
});
afterAll(() => receiver[Symbol.asyncDispose]());

function variables(): NodeJS.ProcessEnv {
  return { ...SOON, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url };
}

/** What a client that traces sends, and by which its trace is found. */
function traceparent(): { id: string; parent: string; header: string } {
  const [id, parent] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  return { id, parent, header: `00-${id}-${parent}-01` };
}

/** The spans of a trace when the one that begins it here has come, which ends last. */
async function traceOf(id: string): Promise<ReceivedSpan[]> {
  const spans = () => receiver.spans.filter(({ traceId }) => traceId === id);
  await expect.poll(() => spans().map(({ name }) => name)).toContain('POST /v2/sandboxes');
  return spans();
}

/** From the outermost to the innermost, by names. */
function line(spans: readonly ReceivedSpan[], from: string): string[] {
  const [span] = spans.filter(({ parentId }) => parentId === from);
  return span ? [`${span.part} ${span.name}`, ...line(spans, span.spanId)] : [];
}

const CALL = 'islet.orchestrator.v1.Orchestrator/CreateSandbox';

function expectWhole(spans: readonly ReceivedSpan[], client: string, sandboxId: string): void {
  expect(line(spans, client).slice(0, 4)).toEqual([
    'islet.api POST /v2/sandboxes',
    `islet.api ${CALL}`,
    `islet.node ${CALL}`,
    'islet.node create sandbox',
  ]);
  const [create] = spans.filter(({ name }) => name === 'create sandbox');
  const below = spans.filter(({ parentId }) => parentId === create?.spanId).map(({ part }) => part);
  expect(below).toEqual(expect.arrayContaining(['islet.driver', 'islet.envd']));
  for (const { part, attributes } of spans) {
    if (part === 'islet.api' || part === 'islet.node') expect(attributes['sandbox.id']).toBe(sandboxId);
  }
  // Every part takes its time within that of what it is a part of; the SDK's starts are whole milliseconds.
  for (const span of spans) {
    const parent = spans.find(({ spanId }) => spanId === span.parentId);
    if (!parent) continue;
    expect(span.start).toBeGreaterThanOrEqual(parent.start - 1);
    expect(span.end).toBeLessThanOrEqual(parent.end + 2);
  }
}

it('has one trace of a create, from the client through api, node and driver to envd', async () => {
  const dataDir = await newDataDir();
  let instance: RunningInstance | undefined;
  try {
    instance = await startInstance(dataDir, ['--log-level', 'info'], { env: variables() });
    const { apiKey, apiUrl, sandboxUrl } = instance.access;
    const { id, parent, header } = traceparent();
    const sandbox = await Sandbox.create({ apiKey, apiUrl, sandboxUrl, headers: { traceparent: header } });
    const spans = await traceOf(id);
    expectWhole(spans, parent, sandbox.sandboxId);
    expect(spans[0]?.resource).toMatchObject({ 'service.name': 'islet' });
    expect(spans[0]?.resource['service.instance.id']).toMatch(/.\/[0-9a-f]{6}$/);
    await sandbox.kill();
    await expect.poll(() => [...receiver.metricNames]).toContain('orchestrator.sandbox.create.duration');
    await expect
      .poll(() => [...receiver.metricNames])
      .toContain('client_proxy.proxy.server.connections.open');
    expect(await instance.stop('SIGTERM')).toBe(0);
  } finally {
    await instance?.stop('SIGKILL');
    await removeDataDir(dataDir);
  }
  expect(receiver.logs.map(({ attributes }) => attributes.component)).toContain('orchestrator');
});

it('has it over three processes as well, each under its own name', { tags: 'long' }, async () => {
  const dataDir = await newDataDir();
  try {
    await using roles = await Roles.start(dataDir, {}, variables());
    const { apiUrl, sandboxUrl } = roles;
    const apiKey = (await readFile(join(dataDir, 'api/secrets/api-key'), 'utf8')).trim();
    const options = { apiKey, apiUrl, sandboxUrl };
    // The API serves before the node has built its template.
    const first = await until(
      'a sandbox is created',
      300_000,
      () => Sandbox.create(options),
      () => true,
    );
    await first.kill();
    const { id, parent, header } = traceparent();
    const sandbox = await Sandbox.create({ ...options, headers: { traceparent: header } });
    await expect
      .poll(async () => new Set((await traceOf(id)).map(({ resource }) => resource['service.name'])))
      .toEqual(new Set(['islet-api', 'islet-node']));
    expectWhole(await traceOf(id), parent, sandbox.sandboxId);
    await sandbox.kill();
  } finally {
    await removeDataDir(dataDir);
  }
});
