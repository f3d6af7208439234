import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newDataDir, removeDataDir, startInstance } from '../setup/instance.ts';

const CHECKOUT = resolve(import.meta.dirname, '../..');

/** On an idle machine it takes ten seconds. */
const BUILD_MS = 900_000;

describe.runIf(process.getuid?.() === 0)('the npm package', () => {
  let home: string;
  let tarball: string;
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'islet package-'));
    const made = await run(
      'npm',
      'run',
      '--silent',
      'package',
      '--',
      '--only',
      'npm',
      '--out',
      home,
      '--json',
    );
    tarball = JSON.parse(made.stdout).packages[0].file;
  }, BUILD_MS);
  afterAll(() => rm(home, { recursive: true, force: true }));

  /** A new user's environment: nothing of this process but PATH, and no registry to ask. */
  const env = () => ({ HOME: home, PATH: process.env.PATH, npm_config_offline: 'true' });

  function run(file: string, ...args: string[]) {
    const isOfCheckout = file === 'npm' && args[0] === 'run';
    return promisify(execFile)(file, args, isOfCheckout ? { cwd: CHECKOUT } : { cwd: home, env: env() });
  }

  it('runs by npx, without a registry', async () => {
    const { stdout } = await run('npx', '--yes', `--package=${tarball}`, '--', 'islet', '--version');
    expect(stdout).toMatch(/^\d+\.\d+\.\d+/);
  });

  it('is installed by npm, examines the machine, and runs sandboxes, without the checkout', async () => {
    const prefix = join(home, 'global');
    const { stdout } = await run('npm', 'install', '--global', '--prefix', prefix, tarball);
    // It brings all it needs: one package, and no scripts of others.
    expect(stdout).toMatch(/added 1 package\b/);
    // It is found from nowhere above the new prefix, and no file names it.
    await expect(run('grep', '--recursive', '--files-with-matches', CHECKOUT, prefix)).rejects.toMatchObject({
      code: 1,
      stdout: '',
    });
    const launcher = join(prefix, 'bin/islet');

    const dataDir = await newDataDir();
    try {
      const doctor = await run(launcher, 'doctor', '--json', '--data-dir', dataDir);
      expect(JSON.parse(doctor.stdout)).toMatchObject({ ok: true });

      const islet = await startInstance(dataDir, [], { launcher: [launcher] });
      let code: number | null;
      try {
        const { apiUrl, sandboxUrl, apiKey } = islet.access;
        const sandbox = await Sandbox.create({ apiUrl, sandboxUrl, apiKey });
        await sandbox.files.write('/tmp/note.txt', 'kept');
        const { stdout: said } = await sandbox.commands.run('cat /tmp/note.txt && python3 --version');
        expect(said).toMatch(/^keptPython 3/);
      } finally {
        code = await islet.stop('SIGTERM');
      }
      expect(code).toBe(0);
    } finally {
      await removeDataDir(dataDir);
    }
  });
});
