import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { newSandbox, sharedSandbox } from './sandbox.ts';
import { startServer } from './server.ts';

const CHROMIUM = '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The machine may be busy with other things. */
const PATIENCE_MS = 100_000;

const sandbox = sharedSandbox();
let profile: string;
let browser: BrowserContext;
beforeAll(async () => {
  profile = await mkdtemp(join(tmpdir(), 'islet-browser-'));
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: FLAGS,
    timeout: PATIENCE_MS,
  });
  browser.setDefaultTimeout(PATIENCE_MS);
});
afterAll(async () => {
  await browser?.close();
  await rm(profile, { recursive: true, force: true });
});

it('opens a page of a server in the sandbox, which talks back through a WebSocket and fetch', async () => {
  await startServer(sandbox.current, { port: 8_080 });
  const page = await browser.newPage();
  const answer = await page.goto(`http://${sandbox.current.getHost(8_080)}/`);
  expect(answer?.status()).toBe(200);
  expect(await page.title()).toBe('from the sandbox');
  await page.waitForFunction("document.querySelector('#said').textContent !== 'nothing'");
  expect(await page.textContent('#said')).toBe('socket: from the page, fetch: /echo?from=page');
  await page.close();
});

it('shows a page where nothing listens', async () => {
  const page = await browser.newPage();
  const answer = await page.goto(`http://${sandbox.current.getHost(8_081)}/`);
  expect(answer?.status()).toBe(502);
  expect(await page.textContent('body')).toContain('8081');
  await page.close();
});

it('shows a page where the sandbox is gone', async () => {
  const gone = await newSandbox();
  await gone.kill();
  const page = await browser.newPage();
  const answer = await page.goto(`http://${gone.getHost(8_080)}/`);
  expect(answer?.status()).toBe(502);
  expect(await page.textContent('body')).toContain('Sandbox Not Found');
  await page.close();
});
