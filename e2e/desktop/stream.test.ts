import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { type Browser, openBrowser } from '../setup/chromium.ts';
import { until } from '../setup/until.ts';
import { sharedDesktop } from './desktop.ts';

const desktop = sharedDesktop();
let browser: Browser;
let page: Page;
beforeAll(async () => {
  // The page is loaded by Node.js, whose answers would count as those of a public address.
  const flags = ['--disable-features=LocalNetworkAccessChecks'];
  browser = await openBrowser({ trusted: inject('islet').dataDir, flags });
});
afterAll(() => browser?.close());
beforeEach(async () => {
  page = await browser.context.newPage();
  // Chromium drops every load if a network of the host comes or goes, as those of sandboxes do. The stream itself is its own.
  await page.route('**/*', async (route) => route.fulfill({ response: await route.fetch() }));
});
afterEach(async () => {
  await page.close();
  await desktop.current.stream.stop();
});

/** On a busy machine the server may take longer than the SDK waits for it. */
async function start(options: StreamOptions = {}): Promise<void> {
  const { stream } = desktop.current;
  const attempt = async () => {
    try {
      await stream.start(options);
    } catch (error) {
      await stream.stop();
      throw error;
    }
  };
  await until('the stream runs', 0, attempt, () => true);
}
type StreamOptions = Parameters<(typeof desktop.current)['stream']['start']>[0];

/** Opens an address until it shows what is waited for. */
async function open(url: string, shown = 'html.noVNC_connected'): Promise<void> {
  const attempt = async () => {
    await page.goto(url);
    try {
      await page.waitForSelector(shown, { timeout: 20_000 });
    } catch (cause) {
      const state = await page.evaluate(
        "document.documentElement.className + ': ' + document.querySelector('#noVNC_status')?.textContent",
      );
      throw new Error(`the page shows ${state}`, { cause });
    }
  };
  await until(`the page shows ${shown}`, 120_000, attempt, () => true);
}

/** The background of the desktop: see `xfce4-desktop.xml` of the template. */
const BACKGROUND = [51, 81, 107];

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
  await start();
  await expect(stream.start()).rejects.toThrow('Stream is already running');
  const url = new URL(stream.getUrl());
  expect(url.host).toBe(desktop.current.getHost(6080));
  expect(Object.fromEntries(url.searchParams)).toEqual({ autoconnect: 'true', resize: 'scale' });
  await open(url.href);
  await expect.poll(() => colour(700, 400)).toEqual(BACKGROUND);
  // Somebody has to say that it is to begin.
  await open(stream.getUrl({ autoConnect: false }), '#noVNC_connect_button');
  expect(await page.isVisible('#noVNC_connect_button')).toBe(true);
  await open(stream.getUrl({ resize: 'off' }));
  await desktop.current.moveMouse(1, 1);
  await page.mouse.move(300, 200);
  await page.mouse.move(310, 210);
  await expect.poll(async () => (await desktop.current.getCursorPosition()).x).toBeGreaterThan(100);
});

it('only shows, if it is asked to', async () => {
  await start();
  await open(desktop.current.stream.getUrl({ viewOnly: true, resize: 'off' }));
  await expect.poll(() => colour(700, 400)).toEqual(BACKGROUND);
  await desktop.current.moveMouse(1, 1);
  await page.mouse.move(300, 200);
  await page.mouse.move(310, 210);
  await page.mouse.click(310, 210);
  expect(await desktop.current.getCursorPosition()).toEqual({ x: 1, y: 1 });
});

it('wants its key, if there is one', async () => {
  const { stream } = desktop.current;
  await start({ requireAuth: true });
  await open(stream.getUrl(), '#noVNC_credentials_dlg.noVNC_open');
  await open(stream.getUrl({ authKey: 'wrong' }), '#noVNC_status.noVNC_status_error');
  expect(await page.textContent('#noVNC_status')).toMatch(/fail/i);
  await open(stream.getUrl({ authKey: stream.getAuthKey() }));
  await expect.poll(() => colour(700, 400)).toEqual(BACKGROUND);
});

it('is at its own ports alone: the SDK starts its server there, whatever it is told', async () => {
  const elsewhere = desktop.current.stream.start({ port: 6090 });
  await expect(elsewhere).rejects.toThrow('Could not start noVNC server');
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
  await start({ windowId, port: 6080, requireAuth: false });
  const url = current.stream.getUrl();
  await open(url);
  const shown = await page.evaluate("document.querySelector('#noVNC_container canvas').width");
  expect(shown).toBe(Number(width));
  await current.stream.stop();
  await current.stream.stop();
  // The SDK's stop leaves the web server of noVNC behind: its page comes, and finds no desktop.
  await open(url, '#noVNC_status.noVNC_status_error');
});
