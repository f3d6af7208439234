import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { sharedSandbox } from '../sdk/sandbox.ts';
import { startServer } from '../sdk/server.ts';
import { type Browser, openBrowser } from '../setup/chromium.ts';
import { runIslet } from '../setup/command.ts';

const { dataDir, trust } = inject('islet');
const PORT = 8_080;
const sandbox = sharedSandbox();
beforeAll(() => startServer(sandbox.current, { port: PORT }).then(() => {}));

const inDataDir = (...args: string[]) => ['trust', ...args, '--data-dir', dataDir];

describe('islet trust', () => {
  let home: string;
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'islet-home-'));
  });
  afterAll(() => rm(home, { recursive: true, force: true }));
  const trusted = async (...args: string[]) => {
    const { stdout } = await runIslet(inDataDir('--json', ...args), { env: { HOME: home } });
    return JSON.parse(stdout) as { fingerprint: string; changes: { path: string; change: string }[] };
  };
  const listed = async () => {
    const database = ['-d', `sql:${join(home, '.pki/nssdb')}`];
    return (await promisify(execFile)('certutil', ['-L', ...database])).stdout.match(/^islet-.*$/gm) ?? [];
  };

  it('has the browsers of a user trust the authority, once, for servers alone, until it is removed', async () => {
    const { fingerprint256 } = new X509Certificate(await readFile(trust.authorityFile));
    for (const _ of ['first', 'again']) {
      const { changes, fingerprint } = await trusted();
      expect(fingerprint).toBe(fingerprint256);
      expect(changes).toEqual([{ store: 'browser', path: join(home, '.pki/nssdb'), change: 'added' }]);
      expect(await listed()).toEqual([expect.stringMatching(/^islet-[0-9a-f]{6}\s+C,,\s*$/)]);
    }
    expect((await trusted('--remove')).changes).toMatchObject([{ change: 'removed' }]);
    expect(await listed()).toEqual([]);
    expect((await trusted('--remove')).changes).toMatchObject([{ change: 'nothing to remove' }]);
  });

  it('has each profile of Firefox trust it, too', async () => {
    const profile = join(home, '.mozilla/firefox/abc.default');
    await mkdir(profile, { recursive: true });
    await promisify(execFile)('certutil', ['-N', '--empty-password', '-d', `sql:${profile}`]);
    const { changes } = await trusted();
    expect(changes).toContainEqual({ store: 'browser', path: profile, change: 'added' });
    const { stdout } = await promisify(execFile)('certutil', ['-L', '-d', `sql:${profile}`]);
    expect(stdout).toMatch(/^islet-[0-9a-f]{6}\s+C,,\s*$/m);
  });

  it('prints the authority, and says what to do if there is none', async () => {
    const { stdout } = await runIslet(inDataDir('--print'));
    expect(stdout).toBe(await readFile(trust.authorityFile, 'utf8'));
    const none = await runIslet(['trust', '--data-dir', join(home, 'none')]);
    expect(none.code).toBe(1);
    expect(none.stderr).toContain('the first start of `islet up` makes it');
    const asked = await runIslet(inDataDir(), { env: { HOME: home, SUDO_USER: 'someone' } });
    expect([asked.code, asked.stderr]).toEqual([1, expect.stringContaining('without sudo')]);
  });

  it('has every program of a system trust the authority, until it is removed', async () => {
    // The system of a mount namespace: what changes is gone with it.
    const script = `
      set -e
      for folder in /etc/ssl /usr/local/share; do mount -t tmpfs islet-test /mnt
        cp -a $folder/. /mnt; mount --move /mnt $folder; done
      mkdir -p /usr/local/share/ca-certificates
      ask() { env -u SSL_CERT_FILE curl -sS -o /dev/null -w '%{http_code}\\n' "$URL" 2>&1 || echo "curl: $?"; }
      ask
      "$ISLET" trust --system --data-dir "$DATA_DIR" >/dev/null
      ask
      "$ISLET" trust --system --remove --data-dir "$DATA_DIR" >/dev/null
      ask`;
    const url = `https://${sandbox.current.getHost(PORT)}/name`;
    const { stdout } = await promisify(execFile)('unshare', ['--mount', 'bash', '-c', script], {
      env: {
        ...process.env,
        URL: url,
        DATA_DIR: dataDir,
        ISLET: resolve(import.meta.dirname, '../../islet'),
      },
    });
    expect(stdout.match(/^(200|curl: \d+)$/gm)).toEqual(['curl: 60', '200', 'curl: 60']);
  });
});

it('lets other users read nothing of the data directory but the two certificates', async () => {
  const wide: string[] = [];
  for (const entry of await readdir(dataDir)) {
    if (((await lstat(join(dataDir, entry))).mode & 0o077) !== 0) wide.push(entry);
  }
  expect(wide).toEqual(['https']);
  const published = join(dataDir, 'https');
  expect((await readdir(published)).sort()).toEqual(['authority.pem', 'bundle.pem']);
  const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups'];
  const read = await promisify(execFile)('setpriv', [
    ...asNobody,
    'cat',
    trust.authorityFile,
    trust.bundleFile,
  ]);
  expect(read.stdout).not.toContain('PRIVATE KEY');
  expect(read.stdout.match(/BEGIN CERTIFICATE/g)?.length).toBeGreaterThan(100);
});

describe('a browser', () => {
  let browsers: [Browser, Browser];
  beforeAll(async () => {
    browsers = await Promise.all([openBrowser({ trusted: dataDir }), openBrowser()]);
  });
  afterAll(async () => {
    for (const browser of browsers ?? []) await browser.close();
  });
  /** What comes of opening the page. */
  const opened = (page: Page) =>
    page.goto(`https://${sandbox.current.getHost(PORT)}/`).then(
      (answer) => String(answer?.status()),
      (error: Error) => error.message,
    );

  it('whose user trusts the authority opens a page over https, which talks back by a WebSocket and fetch', async () => {
    const page = await browsers[0].context.newPage();
    expect(await opened(page)).toBe('200');
    await page.waitForFunction("document.querySelector('#said').textContent !== 'nothing'");
    expect(await page.textContent('#said')).toBe('socket: from the page, fetch: /echo?from=page');
  });

  it('of another user does not', async () => {
    expect(await opened(await browsers[1].context.newPage())).toContain('ERR_CERT_AUTHORITY_INVALID');
  });
});
