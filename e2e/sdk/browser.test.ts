import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Browser, openBrowser } from '../setup/chromium.ts';
import { newSandbox, sharedSandbox } from './sandbox.ts';
import { startServer } from './server.ts';

const sandbox = sharedSandbox();
let browser: Browser;
beforeAll(async () => {
  browser = await openBrowser();
});
afterAll(() => browser?.close());

it('opens a page of a server in the sandbox, which talks back through a WebSocket and fetch', async () => {
  await startServer(sandbox.current, { port: 8_080 });
  const page = await browser.context.newPage();
  const answer = await page.goto(`http://${sandbox.current.getHost(8_080)}/`);
  expect(answer?.status()).toBe(200);
  expect(await page.title()).toBe('from the sandbox');
  await page.waitForFunction("document.querySelector('#said').textContent !== 'nothing'");
  expect(await page.textContent('#said')).toBe('socket: from the page, fetch: /echo?from=page');
  await page.close();
});

it('shows a page where nothing listens', async () => {
  const page = await browser.context.newPage();
  const answer = await page.goto(`http://${sandbox.current.getHost(8_081)}/`);
  expect(answer?.status()).toBe(502);
  expect(await page.textContent('body')).toContain('8081');
  await page.close();
});

it('shows a page where the sandbox is gone', async () => {
  const gone = await newSandbox();
  await gone.kill();
  const page = await browser.context.newPage();
  const answer = await page.goto(`http://${gone.getHost(8_080)}/`);
  expect(answer?.status()).toBe(502);
  expect(await page.textContent('body')).toContain('Sandbox Not Found');
  await page.close();
});
