import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, inject, it } from 'vitest';
import { type Browser, openBrowser } from '../setup/chromium.ts';
import { sharedDesktop } from './desktop.ts';

const desktop = sharedDesktop();
let browser: Browser;
let page: Page;
beforeAll(async () => {
  browser = await openBrowser({ trusted: inject('islet').dataDir });
  page = await browser.context.newPage();
});
afterAll(() => browser?.close());
afterEach(async () => {
  await page.goto('about:blank');
  await desktop.current.stream.stop();
});

/** The background of the desktop: see `xfce4-desktop.xml` of the template. */
const BACKGROUND = [51, 82, 107];

async function connected(): Promise<void> {
  await page.waitForSelector('html.noVNC_connected');
}

/** What the stream shows in a place of the desktop, as red, green and blue. */
const colour = (x: number, y: number) =>
  page.evaluate<number[]>(
    `[...(document.querySelector('#noVNC_container canvas')?.getContext('2d').getImageData(${x}, ${y}, 1, 1).data ?? [])].slice(0, 3)`,
  );

it('has no address and no key before it runs', () => {
  expect(() => desktop.current.stream.getUrl()).toThrow('Server is not running');
  expect(() => desktop.current.stream.getAuthKey()).toThrow('Unable to retrieve stream auth key');
});

it('shows the desktop in a browser, through the edge and over https, and takes its mouse', async () => {
  const { stream } = desktop.current;
  await stream.start();
  await expect(stream.start()).rejects.toThrow('Stream is already running');
  const url = new URL(stream.getUrl());
  expect(url.host).toBe(desktop.current.getHost(6080));
  expect(Object.fromEntries(url.searchParams)).toEqual({ autoconnect: 'true', resize: 'scale' });
  await page.goto(url.href);
  await connected();
  await expect.poll(() => colour(700, 400)).toEqual(BACKGROUND);
  await page.goto(stream.getUrl({ resize: 'off' }));
  await connected();
  await desktop.current.moveMouse(1, 1);
  await page.mouse.move(300, 200);
  await page.mouse.move(310, 210);
  await expect.poll(async () => (await desktop.current.getCursorPosition()).x).toBeGreaterThan(100);
});

it('only shows, if it is asked to', async () => {
  await desktop.current.stream.start();
  await page.goto(desktop.current.stream.getUrl({ viewOnly: true, resize: 'off' }));
  await connected();
  await expect.poll(() => colour(700, 400)).toEqual(BACKGROUND);
  await desktop.current.moveMouse(1, 1);
  await page.mouse.move(300, 200);
  await page.mouse.move(310, 210);
  await page.mouse.click(310, 210);
  expect(await desktop.current.getCursorPosition()).toEqual({ x: 1, y: 1 });
});

it('wants its key, if there is one', async () => {
  const { stream } = desktop.current;
  await stream.start({ requireAuth: true, port: 6090, vncPort: 5910 });
  expect(stream.getUrl()).toContain(desktop.current.getHost(6090));
  await page.goto(stream.getUrl());
  await page.waitForSelector('#noVNC_credentials_dlg.noVNC_open');
  await page.goto(stream.getUrl({ authKey: 'wrong' }));
  await page.waitForSelector('#noVNC_status.noVNC_open');
  expect(await page.textContent('#noVNC_status')).toMatch(/fail/i);
  await page.goto(stream.getUrl({ authKey: stream.getAuthKey() }));
  await connected();
  await expect.poll(() => colour(700, 400)).toEqual(BACKGROUND);
});

it('is that of one window, if one is named, and is over when it is stopped', async () => {
  const { current } = desktop;
  await current.launch('xfce4-terminal');
  const windows = () => current.getApplicationWindows('xfce4-terminal').catch(() => []);
  await expect.poll(windows).not.toEqual([]);
  const [windowId] = await windows();
  if (windowId === undefined) throw new Error('no terminal is open');
  const { stdout } = await current.commands.run(`xdotool getwindowgeometry --shell ${windowId}`);
  const [, width] = /WIDTH=(\d+)/.exec(stdout) ?? [];
  await current.stream.start({ windowId, port: 6080, vncPort: 5900, requireAuth: false });
  const url = current.stream.getUrl();
  await page.goto(url);
  await connected();
  const shown = await page.evaluate("document.querySelector('#noVNC_container canvas').width");
  expect(shown).toBe(Number(width));
  await current.stream.stop();
  await current.stream.stop();
  await expect.poll(async () => (await page.goto(url))?.status()).toBe(502);
});
