import { execFileSync, spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jsonLines } from '../setup/command.ts';
import { footprint } from '../setup/footprint.ts';
import { send } from '../setup/http.ts';
import { newDataDir, removeDataDir } from '../setup/instance.ts';

const LAUNCHER = resolve(import.meta.dirname, '../../islet');
const PORTS = ['API', 'PROXY', 'SANDBOX_PROXY', 'ORCHESTRATOR', 'TEMPLATE_MANAGER'];
let dataDir: string;
beforeAll(async () => {
  dataDir = await newDataDir();
});
afterAll(() => removeDataDir(dataDir));

/** Everything by environment variables, as a service's unit would have it. */
const environment = () => ({
  ...process.env,
  ISLET_DATA_DIR: dataDir,
  ...Object.fromEntries(PORTS.map((name) => [`ISLET_${name}_PORT`, '0'])),
});

/** Runs `islet up` until its output matches, does something meanwhile, then stops it; gives all that it printed. */
async function upUntil(
  args: string[],
  ready: RegExp,
  meanwhile: (output: string) => Promise<void>,
): Promise<{ code: number | null; output: string }> {
  const child = spawn(LAUNCHER, ['up', ...args], {
    env: environment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  const isReady = new Promise<void>((done) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (ready.test(output)) done();
    });
  });
  const ended = new Promise<number | null>((done) => child.once('close', done));
  await Promise.race([isReady, ended]);
  try {
    await meanwhile(output);
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
  return { code: await ended, output };
}

interface UpEvent {
  event: string;
  step?: string;
  message?: string;
  progress?: number;
  ms?: number;
  apiUrl?: string;
  sandboxUrl?: string;
}

describe('islet up --json', () => {
  it('prints one object a line: each step from its begin to its end, then ready, then how it stopped', async () => {
    const { code, output } = await upUntil(['--json'], /"event":"ready".*\n/, async () => {});
    expect(code).toBe(0);
    const events = jsonLines<UpEvent>(output);
    const kinds = events.map(({ event }) => event);
    expect(kinds.slice(-3)).toEqual(['ready', 'stopping', 'stopped']);
    expect(events.at(-2)).toEqual({ event: 'stopping', reason: 'SIGTERM' });
    const open: string[] = [];
    for (const { event, step = '', message, progress, ms } of events.slice(0, -3)) {
      expect(message).toEqual(expect.stringMatching(/\S/));
      if (event === 'note') continue; // on the host, such as its slowness, and of no step
      if (event === 'step') open.push(step);
      else expect(open).toContain(step);
      if (event === 'done') {
        expect(ms).toBeGreaterThanOrEqual(0);
        open.splice(open.indexOf(step), 1);
      }
      if (progress !== undefined) {
        expect(progress).toBeGreaterThanOrEqual(0);
        expect(progress).toBeLessThanOrEqual(1);
      }
    }
    expect(open).toEqual([]);
    expect(events.find(({ event }) => event === 'ready')).toEqual({
      event: 'ready',
      apiUrl: expect.stringMatching(/^http:\/\/localhost:\d+$/),
      sandboxUrl: expect.stringMatching(/^http:\/\/localhost:\d+$/),
      apiKey: expect.stringMatching(/^e2b_[0-9a-f]{40}$/),
      apiKeyFile: join(dataDir, 'secrets', 'api-key'),
      accessToken: expect.stringMatching(/^sk_e2b_[0-9a-f]{40}$/),
      isFirstStart: true,
      domain: expect.stringMatching(/^islet\.localhost:\d+$/),
      trust: {
        authorityFile: join(dataDir, 'https', 'authority.pem'),
        bundleFile: join(dataDir, 'https', 'bundle.pem'),
      },
      templateId: expect.stringMatching(/^[a-z0-9]{20}$/),
      dataDir,
      pid: expect.any(Number),
      ports: {
        api: expect.any(Number),
        clientProxy: expect.any(Number),
        sandboxProxy: expect.any(Number),
        orchestrator: expect.any(Number),
        templateManager: expect.any(Number),
      },
      startedInMs: expect.any(Number),
    });
  });
});

describe('islet up for people', () => {
  it('tells what it does and then the lines to export, which work; a second start builds nothing', async () => {
    /** What a shell makes of the line that exports a variable. */
    const exported = (output: string, name: string) => {
      const line = new RegExp(`export ${name}=.*`).exec(output)?.[0] ?? `echo no ${name} in: ${output}`;
      return execFileSync('sh', ['-c', `${line}; printf %s "$${name}"`], { encoding: 'utf8' });
    };
    const { code, output } = await upUntil([], /export E2B_API_KEY=\S+/, async (text) => {
      const { status } = await send({
        method: 'GET',
        url: `${exported(text, 'E2B_API_URL')}/sandboxes`,
        headers: { 'X-API-Key': exported(text, 'E2B_API_KEY') },
      });
      expect(status).toBe(200);
      // Nobody's sandbox: the edge answers as the edge.
      const edge = await send({
        method: 'GET',
        url: `${exported(text, 'E2B_SANDBOX_URL')}/health`,
        headers: { 'E2b-Sandbox-Id': 'iabc', 'E2b-Sandbox-Port': '49983' },
      });
      expect(edge.status).toBe(502);
    });
    expect(code).toBe(0);
    expect(output).not.toContain('\u001b');
    expect(output).not.toMatch(/snapshot/);
  });
});

describe('islet up whose reader goes away', () => {
  it.each([
    { when: 'after its first line', enough: /\n/, stops: 'by itself' },
    // It says nothing more then, and so does not learn of it.
    { when: 'when it is ready', enough: /E2B_API_KEY/, stops: 'by a signal' },
  ])('$when stops $stops in order and leaves nothing', async ({ enough, stops }) => {
    const child = spawn(LAUNCHER, ['up'], { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = new Promise<number | null>((done) => child.once('close', done));
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (enough.test(output)) child.stdout.destroy();
    });
    await new Promise<void>((done) => child.stdout.once('close', done));
    if (stops === 'by a signal') child.kill('SIGTERM');
    expect(await ended, log).toBe(0);
    expect(log).not.toContain('EPIPE');
    const { files: _kept, ...left } = await footprint({ dataDir });
    expect(Object.values(left).flat()).toEqual([]);
  });
});
