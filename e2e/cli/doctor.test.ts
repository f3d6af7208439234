import { createServer } from 'node:net';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type CommandOptions, runIslet } from '../setup/command.ts';
import { newDataDir, removeDataDir } from '../setup/instance.ts';

interface Check {
  id: string;
  title: string;
  status: 'ok' | 'warning' | 'failed';
  detail: string;
  cause?: string;
  fix?: string;
}

interface Report {
  ok: boolean;
  counts: { ok: number; warnings: number; failed: number };
  checks: Check[];
}

/** Whether guests run under KVM takes 15 s to find out if they hang: one test alone asks it. */
const GVISOR = ['--isolation', 'gvisor'];

/** Ports that the system chooses: others on this machine may hold the usual ones. */
const PORTS = ['api', 'proxy', 'sandbox-proxy', 'orchestrator', 'template-manager'].flatMap((name) => [
  `--${name}-port`,
  '0',
]);

async function examine(
  dataDir: string,
  args: string[] = GVISOR,
  options: CommandOptions = {},
): Promise<{ code: number | null; report: Report; of: (id: string) => Check[] }> {
  const { code, stdout, stderr } = await runIslet(
    ['doctor', '--json', '--data-dir', dataDir, ...PORTS, ...args],
    options,
  );
  if (!stdout.startsWith('{')) throw new Error(`no report: ${stdout}${stderr}`);
  const report = JSON.parse(stdout) as Report;
  return { code, report, of: (id) => report.checks.filter((check) => check.id === id) };
}

describe('islet doctor on a machine that is well', () => {
  const { dataDir } = inject('islet');

  it('exits with 0 and reports every check as one object', async () => {
    const { code, report } = await examine(dataDir, []);
    const failed = report.checks.filter(({ status }) => status === 'failed');
    expect(failed).toEqual([]);
    expect(code).toBe(0);
    expect(report.ok).toBe(true);
    const count = (wanted: string) => report.checks.filter(({ status }) => status === wanted).length;
    expect(report.counts).toEqual({ ok: count('ok'), warnings: count('warning'), failed: 0 });
    expect(report.checks.map(({ id }) => id)).toEqual(
      expect.arrayContaining([
        ...['kernel', 'memory', 'data-disk', 'capabilities', 'namespaces', 'runsc', 'nftables'],
        ...['cgroups', 'pid-max', 'ports', 'database', 'keys'],
      ]),
    );
    for (const { title, detail, status, cause, fix } of report.checks) {
      expect(title && detail).toBeTruthy();
      if (status !== 'ok') expect(cause && fix).toBeTruthy();
    }
  });

  it('asks the running Islet for what only that may read', async () => {
    const { of } = await examine(dataDir);
    expect(of('database')).toEqual([
      expect.objectContaining({
        status: 'ok',
        detail: expect.stringContaining('answered by the running Islet'),
      }),
    ]);
    expect(of('keys').map(({ status }) => status)).toEqual(['ok']);
  });

  it('says the same to people', async () => {
    const { code, stdout } = await runIslet(['doctor', '--data-dir', dataDir, ...PORTS, ...GVISOR]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^✓ Namespaces: /m);
    expect(stdout).toMatch(/^✓ gVisor \(runsc\): .* runs a sandbox$/m);
    expect(stdout).toMatch(/^\d+ ok, \d+ warnings, 0 failed$/m);
    expect(stdout).not.toContain('\u001b');
  });

  it('makes nothing of a data directory that is not there', async () => {
    const { code, of } = await examine('/nonexistent/islet');
    expect(of('database')).toEqual([
      expect.objectContaining({ status: 'ok', detail: expect.stringContaining('none yet') }),
    ]);
    expect(code).toBe(0);
  });
});

describe('islet doctor on ports that are taken', () => {
  it('exits with 1 and names the holder and the option', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((done) => server.once('listening', done));
    const { port } = server.address() as { port: number };
    try {
      const elsewhere = join('/nonexistent', 'islet');
      const { code, of } = await examine(elsewhere, [...GVISOR, '--api-port', String(port)]);
      expect(code).toBe(1);
      const [check] = of('ports');
      expect(check).toMatchObject({ status: 'failed', detail: String(port) });
      expect(check?.cause).toContain(`pid ${process.pid}`);
      expect(check?.fix).toContain('--api-port');
    } finally {
      await new Promise((done) => server.close(done));
    }
  });
});

describe('islet doctor without a right that the orchestrator needs', () => {
  it('exits with 1 and names the missing capability', async () => {
    const through = ['setpriv', '--bounding-set', '-sys_admin', '--inh-caps', '-sys_admin'];
    const { code, report, of } = await examine('/nonexistent/islet', GVISOR, { through });
    expect(code).toBe(1);
    expect(report.ok).toBe(false);
    expect(of('capabilities')).toEqual([
      expect.objectContaining({ status: 'failed', detail: 'missing CAP_SYS_ADMIN' }),
    ]);
    const [namespaces] = of('namespaces');
    expect(namespaces).toMatchObject({
      status: 'failed',
      detail: expect.stringContaining('cannot make network, mount, pid, ipc, uts namespaces'),
      cause: expect.stringContaining('CAP_SYS_ADMIN'),
      fix: expect.stringContaining('SYS_ADMIN'),
    });
    for (const { cause, status } of [...of('runsc'), ...of('nftables')]) {
      expect(status).toBe('failed');
      expect(cause).toContain('CAP_SYS_ADMIN');
    }
  });
});

describe('islet doctor on a database with keys that can never match', () => {
  const GOOD = `$sha256$${'A'.repeat(43)}`;
  const TEAM = '0b8a3ded-4489-4722-afd1-1d82e64ec2d5';
  const TIERLESS = '11111111-2222-4333-8444-555555555555';
  const NOBODY = '99999999-8888-4777-8666-555555555555';
  /** Name of the row, its hash, its team, and what the doctor says of it. */
  const ROWS: [name: string, hash: string, team: string, reason: RegExp][] = [
    ['bcrypt', '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy', TEAM, /bcrypt/],
    ['the raw key', 'e2b_53ae1fed82754c17ad8077fbc8bcdd91', TEAM, /raw key/],
    ['hex', 'ab'.repeat(32), TEAM, /hexadecimal/],
    ['wrong prefix', `$sha512$${'B'.repeat(43)}`, TEAM, /lacks the prefix \$sha256\$/],
    ['too short', `$sha256$${'C'.repeat(42)}`, TEAM, /42 characters/],
    ['too long', `$sha256$${'C'.repeat(44)}`, TEAM, /44 characters/],
    ['padded', `$sha256$${'D'.repeat(43)}=`, TEAM, /padded/],
    ['teamless', GOOD, NOBODY, /team .* does not exist/],
    ['tierless', `$sha256$${'E'.repeat(43)}`, TIERLESS, /no tier.*gone_v9/],
  ];
  let dataDir: string;
  const ids = new Map<string, string>();

  beforeAll(async () => {
    dataDir = await newDataDir();
    await runIslet(['db', 'seed', '--data-dir', dataDir]);
    const db = await PGlite.create(join(dataDir, 'db'));
    // As a hand at the database, or a restored copy, would leave it: no constraint looks.
    await db.exec('SET session_replication_role = replica');
    await db.query('INSERT INTO teams (id, name, slug, tier, email) VALUES ($1, $2, $2, $3, $4)', [
      ...[TIERLESS, 'tierless', 'gone_v9', 'tierless@example.org'],
    ]);
    for (const [name, hash, team] of ROWS) {
      const { rows } = await db.query<{ id: string }>(
        `INSERT INTO team_api_keys (team_id, name, api_key_hash, api_key_prefix, api_key_length,
           api_key_mask_prefix, api_key_mask_suffix) VALUES ($1, $2, $3, 'e2b_', 32, 'aa', 'bbbb') RETURNING id`,
        [team, name, hash],
      );
      ids.set(name, rows[0]?.id ?? '');
    }
    await db.close();
  });
  afterAll(() => removeDataDir(dataDir));

  it('exits with 1, names each row with its reason, and nothing that is well', async () => {
    const { code, of } = await examine(dataDir);
    expect(code).toBe(1);
    const checks = of('keys');
    expect(checks).toHaveLength(ROWS.length);
    for (const [name, , team, reason] of ROWS) {
      const id = ids.get(name) ?? '';
      const check = checks.find(({ detail }) => detail.includes(id));
      expect(check, name).toMatchObject({
        status: 'failed',
        detail: expect.stringContaining(`team_api_keys row ${id} ("${name}")`),
        cause: expect.stringMatching(reason),
        fix: expect.stringContaining(`./islet keys revoke ${id}`),
      });
      expect(check?.fix).toContain(team);
    }
  });

  it('says it to people too', async () => {
    const { code, stdout } = await runIslet(['doctor', '--data-dir', dataDir, ...PORTS, ...GVISOR]);
    expect(code).toBe(1);
    for (const id of ids.values()) expect(stdout).toContain(id);
    expect(stdout).toMatch(/^ {4}mend: {2}\.\/islet keys revoke /m);
  });

  it('no longer names a row once the command it gave for that has been run', async () => {
    const mended = ['bcrypt', 'teamless', 'tierless'].map((name) => ids.get(name) ?? '');
    for (const { detail, fix = '' } of (await examine(dataDir)).of('keys')) {
      if (!mended.some((id) => detail.includes(id))) continue;
      const [, command = ''] = /^\.\/islet (keys revoke \S+) && /.exec(fix) ?? [];
      const { code, stderr } = await runIslet([...command.split(' '), '--data-dir', dataDir]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    }
    const left = (await examine(dataDir)).of('keys');
    expect(left).toHaveLength(ROWS.length - mended.length);
    for (const { detail } of left) for (const id of mended) expect(detail).not.toContain(id);
  });
});
