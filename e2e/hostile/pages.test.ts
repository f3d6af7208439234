import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Sandbox } from 'e2b';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Browser, openBrowser } from '../setup/chromium.ts';
import { ControlPlane, type ListedBody } from '../setup/control-plane.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { until } from '../setup/until.ts';

const FLAGS = [
  // A name that its owner makes lead to this machine, as DNS rebinding does.
  '--host-resolver-rules=MAP rebound.example 127.0.0.1',
];
const WELL_KNOWN = 'e2b_53ae1fed82754c17ad8077fbc8bcdd90';
const PAGE = '<!doctype html><title>a page</title>';

let dataDir: string;
let islet: RunningInstance;
let api: ControlPlane;
let browser: Browser;
/** Two programs of this machine that serve pages: the operator named the first. */
let named: Server;
let other: Server;
const portOf = (server: Server) => (server.address() as AddressInfo).port;

async function serve(): Promise<Server> {
  const server = createServer((_request, response) => {
    response.setHeader('Content-Type', 'text/html').end(PAGE);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return server;
}

beforeAll(async () => {
  [dataDir, named, other] = await Promise.all([newDataDir(), serve(), serve()]);
  const options = ['--warm-memory', '0', '--allow-origin', `http://localhost:${portOf(named)}`];
  islet = await startInstance(dataDir, options);
  api = new ControlPlane(islet.access);
  browser = await openBrowser({ flags: FLAGS, trusted: dataDir });
});
afterAll(async () => {
  await browser?.close();
  await islet?.stop('SIGTERM');
  for (const server of [named, other]) server?.close();
  await removeDataDir(dataDir);
});

interface Attempt {
  apiUrl: string;
  key: string;
  mark: string;
}

/** Runs in the page: every way to have the API make a sandbox. Says what came back, or that nothing could be read. */
async function drive({ apiUrl, key, mark }: Attempt): Promise<string[]> {
  const url = `${apiUrl}/sandboxes`;
  const body = JSON.stringify({ templateID: 'base', timeout: 60, metadata: { mark } });
  const said = async (answer: Promise<Response>) => {
    try {
      const { type, status } = await answer;
      return type === 'opaque' ? 'nothing to read' : String(status);
    } catch {
      return 'nothing to read';
    }
  };
  const json = { 'Content-Type': 'application/json', 'X-API-Key': key };
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
  return [
    await said(fetch(url, { method: 'POST', headers: json, body })),
    // Simple requests: no preflight asks whether they may be made.
    await said(fetch(url, { method: 'POST', headers: form, body, mode: 'no-cors' })),
    await said(
      fetch(url, { method: 'POST', headers: { 'Content-Type': 'text/plain' }, body, mode: 'no-cors' }),
    ),
    await said(fetch(url, { headers: { 'X-API-Key': key } })),
    await said(fetch(`${apiUrl}/health`)),
  ];
}

/** What a page at an address achieves, and what is there of it afterwards. */
async function attempt(address: string, mark: string, apiUrl = islet.access.apiUrl) {
  const page = await browser.context.newPage();
  try {
    await page.goto(address);
    const said = await page.evaluate(drive, { apiUrl, key: WELL_KNOWN, mark });
    const { body } = await api.call<ListedBody[]>('GET', `/sandboxes?metadata=mark%3D${mark}`);
    return { said, made: body.map(({ sandboxID }) => sandboxID) };
  } finally {
    await page.close();
  }
}

const NOTHING = Array<string>(5).fill('nothing to read');

/** The official SDK as one script, which puts `Sandbox` on the page. What it uses of Node is not used there. */
async function bundleSdk(): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: "export { Sandbox } from 'e2b';", resolveDir: import.meta.dirname },
    bundle: true,
    write: false,
    platform: 'browser',
    format: 'iife',
    globalName: 'sdk',
    logLevel: 'silent',
    plugins: [
      {
        name: 'no-node',
        setup(bundler) {
          bundler.onResolve({ filter: /^node:/ }, ({ path }) => ({ path, namespace: 'none' }));
          bundler.onLoad({ filter: /./, namespace: 'none' }, () => ({ contents: 'module.exports = {}' }));
        },
      },
    ],
  });
  return outputFiles[0]?.text ?? '';
}

describe('a page in a browser that knows the well-known key', () => {
  it('drives the API if the operator named it', async () => {
    const { said, made } = await attempt(`http://localhost:${portOf(named)}/`, 'named');
    // Without a key, and as text, the API refuses what it would refuse a program.
    expect(said).toEqual(['201', 'nothing to read', 'nothing to read', '200', '200']);
    expect(made).toHaveLength(1);
    await Promise.all(made.map((id) => api.kill(id)));
  });

  it('drives the API with the official SDK if the operator named it', async () => {
    const page = await browser.context.newPage();
    await page.goto(`http://localhost:${portOf(named)}/`);
    await page.addScriptTag({ content: await bundleSdk() });
    const { apiUrl, apiKey } = islet.access;
    // Without a sandbox URL the SDK names the sandbox in the host: a preflight has no routing headers.
    const said = await page.evaluate(
      async (connection) => {
        const { Sandbox: InPage } = (globalThis as unknown as { sdk: { Sandbox: typeof Sandbox } }).sdk;
        const sandbox = await InPage.create({ ...connection, timeoutMs: 60_000 });
        await sandbox.files.write('/home/user/note.txt', 'from a page');
        const { stdout } = await sandbox.commands.run('cat /home/user/note.txt');
        return [stdout, await sandbox.kill()];
      },
      { apiUrl, apiKey },
    );
    expect(said).toEqual(['from a page', true]);
    await page.close();
  });

  it('achieves nothing from another port of this machine, nor by another of its names', async () => {
    for (const [mark, address] of [
      ['port', `http://localhost:${portOf(other)}/`],
      ['name', `http://127.0.0.1:${portOf(named)}/`],
      ['below', `http://app.localhost:${portOf(named)}/`],
    ] as const) {
      expect(await attempt(address, mark), mark).toEqual({ said: NOTHING, made: [] });
    }
  });

  it('achieves nothing from a sandbox', async () => {
    const sandbox = await Sandbox.create({ ...islet.access, timeoutMs: 300_000 });
    try {
      await sandbox.commands.run('python3 -m http.server 8000', { background: true, cwd: '/home/user' });
      const address = `http://${sandbox.getHost(8000)}/`;
      await until(
        'the server serves',
        30_000,
        () => fetch(address),
        ({ status }) => status === 200,
      );
      for (const page of [address, address.replace('http:', 'https:')]) {
        expect(await attempt(page, 'sandbox'), page).toEqual({ said: NOTHING, made: [] });
      }
    } finally {
      await sandbox.kill();
    }
  });

  it('achieves nothing by a name that was made to lead here, though it is of the same origin then', async () => {
    const { port } = new URL(islet.access.apiUrl);
    const rebound = `http://rebound.example:${port}`;
    const page = await browser.context.newPage();
    const answer = await page.goto(`${rebound}/health`);
    expect(answer?.status()).toBe(403);
    await page.close();
    const { said, made } = await attempt(`${rebound}/`, 'rebound', rebound);
    expect(made).toEqual([]);
    // It may read that it is refused: it is told no more.
    expect(said).toEqual(Array<string>(5).fill('403'));
  });
});
