import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ControlPlane, newTeam } from '../setup/control-plane.ts';

const access = inject('islet');
const LAUNCHER = resolve(import.meta.dirname, '../../islet');

let team: ControlPlane;
let folder: string;
beforeAll(async () => {
  team = await newTeam(access, 'Dockerfile builders');
  folder = await mkdtemp(join(tmpdir(), 'islet-dockerfile-'));
  await writeFile(join(folder, 'page.txt'), 'from the page');
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await team[Symbol.asyncDispose]();
});

/** Runs ./islet with the team's key, finding the running Islet by its data directory. */
const islet = (...args: string[]) => run(...args, '--data-dir', access.dataDir);

/** Runs ./islet with the team's key. */
function run(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { E2B_API_URL: _url, ...env } = process.env;
  const child = spawn(LAUNCHER, args, {
    env: { ...env, E2B_API_KEY: team.key },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  return new Promise((done) => child.once('close', (code) => done({ code, stdout, stderr })));
}

const events = (stdout: string): { event: string; message?: string }[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('islet template', { timeout: 240_000 }, () => {
  const size = ['--cpu-count', '1', '--memory-mb', '512'];

  it('builds from a Dockerfile, shows how it goes, and lists and deletes what it built', async () => {
    await writeFile(
      join(folder, 'Dockerfile'),
      'FROM e2bdev/base\nWORKDIR /srv/www\nCOPY page.txt .\nRUN echo built\nCMD ["python3", "-m", "http.server", "8000"]\n',
    );
    const ready = ['--ready-cmd', 'curl -fs localhost:8000'];
    const first = await islet(
      'template',
      'build',
      folder,
      '--name',
      'from-file',
      '--tags',
      'v1,default',
      ...size,
      ...ready,
    );
    expect(first, first.stderr).toMatchObject({ code: 0 });
    expect(first.stdout).toContain('[builder');
    expect(first.stdout).toContain('from-file is built');

    const again = await islet(
      'template',
      'build',
      folder,
      '--name',
      'from-file',
      ...size,
      ...ready,
      '--json',
    );
    const said = events(again.stdout);
    expect(said.some(({ message }) => message?.startsWith('CACHED [builder'))).toBe(true);
    expect(said.at(-1)).toMatchObject({ event: 'built', name: 'from-file', tags: ['default'] });

    const { apiUrl, sandboxUrl } = access;
    const sandbox = await Sandbox.create('from-file', { apiUrl, sandboxUrl, apiKey: team.key });
    expect((await sandbox.commands.run('curl -s localhost:8000/page.txt')).stdout).toBe('from the page');
    const used = await islet('templates', 'delete', 'from-file');
    expect(used).toMatchObject({ code: 1, stderr: expect.stringContaining('running sandboxes') });
    await sandbox.kill();

    const [listed] = JSON.parse((await islet('templates', 'list', '--json')).stdout);
    expect(listed).toMatchObject({ buildStatus: 'ready', cpuCount: 1, memoryMB: 512, buildCount: 2 });
    expect((await islet('templates', 'list')).stdout).toContain('from-file');
    expect(await islet('templates', 'delete', 'from-file')).toMatchObject({ code: 0 });
    expect(JSON.parse((await islet('templates', 'list', '--json')).stdout)).toEqual([]);
  });

  it('ends with 1 and the reason if a build fails or cannot begin', async () => {
    await writeFile(join(folder, 'broken.Dockerfile'), 'FROM e2bdev/base\nRUN echo cause >&2; exit 4\n');
    const broken = join(folder, 'broken.Dockerfile');
    const failed = await islet('template', 'build', broken, '--name', 'broken', ...size);
    expect(failed.code).toBe(1);
    expect(failed.stdout).toContain('cause');
    expect(failed.stdout + failed.stderr).toContain('exit status 4');
    for (const [args, reason] of [
      [['template', 'build', '/nowhere', '--name', 'x'], 'neither a Dockerfile nor a folder'],
      [['template', 'build', broken, '--name', 'not a name'], 'Invalid name'],
      [
        ['template', 'build', broken, '--name', 'x', '--cpu-count', 'two'],
        '--cpu-count takes a whole number',
      ],
      [['template', 'build', broken, '--name', 'x', '--no-such'], 'there is no option --no-such'],
      [['templates', 'delete', 'unheard-of'], "template 'unheard-of' not found"],
    ] as const) {
      const { code, stdout, stderr } = await islet(...args);
      expect([code, stdout + stderr], args.join(' ')).toEqual([1, expect.stringContaining(reason)]);
    }
    expect((await islet('templates', 'delete', 'broken')).code).toBe(0);
  });

  it('frees cached layers, least recently used first, and keeps what is asked for', async () => {
    const gc = async (...args: string[]) => {
      const { code, stdout, stderr } = await run('templates', 'gc', '--json', '--cache-dir', cache, ...args);
      expect(code, stderr).toBe(0);
      return JSON.parse(stdout) as { removed: number; freedBytes: number; keptBytes: number };
    };
    const cache = await mkdtemp(join(tmpdir(), 'islet-layers-'));
    for (const [name, daysAgo] of [
      ['older', 3],
      ['newer', 2],
    ] as const) {
      await mkdir(join(cache, 'layers', name, 'rootfs'), { recursive: true });
      const note = join(cache, 'layers', name, 'layer.json');
      await writeFile(note, JSON.stringify({ bytes: 1024 * 1024 }));
      const used = new Date(Date.now() - daysAgo * 86_400_000);
      await utimes(note, used, used);
    }
    expect(await gc('--keep', '1')).toEqual({ removed: 1, freedBytes: 1024 * 1024, keptBytes: 1024 * 1024 });
    expect((await readdir(join(cache, 'layers'))).filter((name) => !name.startsWith('.'))).toEqual(['newer']);
    expect(await gc()).toMatchObject({ removed: 1, keptBytes: 0 });
    await rm(cache, { recursive: true });
  });
});
