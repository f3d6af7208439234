import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';
import { runIslet } from './command.ts';

const CHROMIUM = '/usr/bin/chromium';
const FLAGS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
  ...['--disable-background-networking', '--disable-component-update'],
];

/** The machine may be busy with other things, ms. */
const PATIENCE_MS = 100_000;

/** A real browser, and how to end it. */
export interface Browser {
  context: BrowserContext;
  close(): Promise<void>;
}

export interface BrowserOptions {
  flags?: readonly string[];
  /** Data directory of an Islet that the browser's user trusts. */
  trusted?: string;
}

/** Starts Debian's Chromium without a window, for a user who has nothing yet and goes with it. */
export async function openBrowser({ flags = [], trusted }: BrowserOptions = {}): Promise<Browser> {
  const home = await mkdtemp(join(tmpdir(), 'islet-browser-'));
  const env = { HOME: home };
  if (trusted !== undefined) {
    const { code, stderr } = await runIslet(['trust', '--data-dir', trusted], { env });
    if (code !== 0) throw new Error(`islet trust ended with ${code}: ${stderr}`);
  }
  const context = await chromium.launchPersistentContext(join(home, 'profile'), {
    executablePath: CHROMIUM,
    headless: true,
    args: [...FLAGS, ...flags],
    env: { ...process.env, ...env },
    timeout: PATIENCE_MS,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  return {
    context,
    async close() {
      await context.close();
      await rm(home, { recursive: true, force: true });
    },
  };
}
