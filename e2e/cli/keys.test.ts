import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { runIslet } from '../setup/command.ts';
import { ControlPlane } from '../setup/control-plane.ts';
import { newDataDir, removeDataDir } from '../setup/instance.ts';

interface Key {
  id: string;
  name: string;
  mask: string;
  team: string;
  teamId: string;
  createdAt: string;
  lastUsed: string | null;
  key?: string;
}

interface Token {
  id: string;
  name: string;
  mask: string;
  userId: string;
  createdAt: string;
  token?: string;
}

const running = inject('islet');
let stopped: string;
beforeAll(async () => {
  stopped = await newDataDir();
});
afterAll(() => removeDataDir(stopped));

/** A command that must work, and its stdout. */
async function good(dataDir: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runIslet([...args, '--data-dir', dataDir]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

async function goodJson<T>(dataDir: string, ...args: string[]): Promise<T> {
  return JSON.parse(await good(dataDir, ...args, '--json')) as T;
}

/** A command that must fail, and what it said on stderr. */
async function bad(dataDir: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runIslet([...args, '--data-dir', dataDir]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  return stderr;
}

describe('islet db', () => {
  it('makes the database once, however often it is asked to', async () => {
    expect(await good(stopped, 'db', 'migrate')).toMatch(/^Applied .+\.\n$/);
    expect(await good(stopped, 'db', 'migrate')).toBe('The schema is up to date.\n');
    const file = join(stopped, 'secrets', 'api-key');
    expect(await good(stopped, 'db', 'seed')).toContain(`its API key is in ${file}`);
    const key = (await readFile(file, 'utf8')).trim();
    expect(await good(stopped, 'db', 'seed')).toBe('Team local-dev-team is there already.\n');
    const keys = await goodJson<Key[]>(stopped, 'keys', 'list');
    const mask = `${key.slice(0, 6)}...${key.slice(-4)}`;
    expect(keys.map((row) => [row.mask, row.team])).toEqual([[mask, 'local-dev-team']]);
  });

  it('keeps what is there: a key made before a seed works after it', async () => {
    const made = await goodJson<Key>(stopped, 'keys', 'create', '--name', 'kept');
    await good(stopped, 'db', 'seed');
    expect((await goodJson<Key[]>(stopped, 'keys', 'list')).map(({ id }) => id)).toContain(made.id);
    await good(stopped, 'keys', 'revoke', made.id);
  });

  it('leaves the database of a running Islet to that', async () => {
    for (const command of ['migrate', 'seed']) {
      expect(await good(running.dataDir, 'db', command)).toContain('A running Islet holds');
    }
  });
});

describe.each([
  ['while Islet runs', () => running.dataDir],
  ['while it does not', () => stopped],
])('islet keys, %s', (_, where) => {
  it('makes a key, shows it once, lists and revokes it', async () => {
    const made = await goodJson<Key>(where(), 'keys', 'create', '--name', 'ci');
    const { key = '', ...shown } = made;
    expect(made).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      name: 'ci',
      mask: `${key.slice(0, 6)}...${key.slice(-4)}`,
      team: 'local-dev-team',
      teamId: '0b8a3ded-4489-4722-afd1-1d82e64ec2d5',
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      lastUsed: null,
      key: expect.stringMatching(/^e2b_[0-9a-f]{40}$/),
    });
    const list = await good(where(), 'keys', 'list', '--json');
    expect(JSON.parse(list)).toContainEqual(shown);
    expect(list).not.toContain(key);
    expect(await goodJson<Key>(where(), 'keys', 'revoke', made.id)).toMatchObject({ id: made.id });
    expect(await good(where(), 'keys', 'list', '--json')).not.toContain(made.id);
    expect(await bad(where(), 'keys', 'revoke', made.id)).toContain(`no key is named by "${made.id}"`);
  });

  it('makes an access token, shows it once, lists and revokes it', async () => {
    const { token = '', ...shown } = await goodJson<Token>(where(), 'tokens', 'create', '--name', 'ci');
    expect(token).toMatch(/^sk_e2b_[0-9a-f]{40}$/);
    expect(shown).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      name: 'ci',
      mask: `${token.slice(0, 9)}...${token.slice(-4)}`,
      userId: 'fb69f46f-eb51-4a87-a14e-306f7a3fd89c',
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    });
    const list = await good(where(), 'tokens', 'list', '--json');
    expect(JSON.parse(list)).toContainEqual(shown);
    expect(list).not.toContain(token);
    expect(await goodJson<Token>(where(), 'tokens', 'revoke', token)).toEqual(shown);
    expect(await bad(where(), 'tokens', 'revoke', shown.id)).toContain(`no token is named by "${shown.id}"`);
  });

  it('makes teams, gives them keys and limits', async () => {
    const team = await goodJson<{ id: string; slug: string }>(
      ...([where(), 'teams', 'create', '--name', 'Zoë & Co'] as const),
    );
    expect(team.slug).toMatch(/^[a-z0-9-]+$/);
    const key = await goodJson<Key>(where(), 'keys', 'create', '--team', team.slug);
    expect(key).toMatchObject({ team: team.slug, teamId: team.id });
    expect(await goodJson<Key[]>(where(), 'keys', 'list', '--team', team.id)).toHaveLength(1);
    const limited = await goodJson(where(), 'teams', 'limit', team.slug, '--sandboxes', '7', '--hours', '3');
    expect(limited).toMatchObject({ id: team.id, limits: { sandboxes: 7, hours: 3 } });
    expect(await goodJson<object[]>(where(), 'teams', 'list')).toContainEqual(limited);
    expect(await bad(where(), 'teams', 'limit', team.slug, '--sandboxes', '0')).toContain('--sandboxes');
    const quotas = {
      paused: 1,
      pausedMb: 2,
      snapshots: 3,
      snapshotsMb: 4,
      templates: 5,
      uploadsMb: 6,
      volumes: 0,
      volumesMb: 8,
      keys: 9,
    };
    const flags = Object.entries(quotas).flatMap(([name, value]) => [
      `--${name.replace('Mb', '-mb')}`,
      String(value),
    ]);
    const kept = await goodJson(where(), 'teams', 'limit', team.slug, ...flags);
    expect(kept).toMatchObject({ limits: { sandboxes: 7, ...quotas } });
    expect(await bad(where(), 'teams', 'limit', team.slug, '--paused', 'many')).toContain('--paused');
    const lines = (await good(where(), 'teams', 'list')).split('\n');
    const cells = lines.findLast((line) => line.startsWith(team.slug))?.split(/ +/);
    expect(cells).toEqual([team.slug, '1', '2', '3', '4', '5', '6', '0', '8', '9']);
    const rated = (...rates: string[]) =>
      goodJson<{ limits: object }>(where(), 'teams', 'limit', team.slug, ...rates);
    expect((await rated('--rate', '50/s:200', '--key-rate', 'none')).limits).toMatchObject({
      ...{ rate: '50/s:200', keyRate: 'none', keys: 9 },
    });
    expect((await rated('--rate', 'default')).limits).toMatchObject({ rate: null, keyRate: 'none' });
    expect(await bad(where(), 'teams', 'limit', team.slug, '--rate', 'fast')).toContain('--rate must be');
  });
});

describe('islet keys', () => {
  it('says all that to people', async () => {
    const output = await good(running.dataDir, 'keys', 'create', '--name', 'for people');
    const [key = ''] = output.split('\n');
    expect(key).toMatch(/^e2b_[0-9a-f]{40}$/);
    expect(output).toContain('only time');
    const mask = `${key.slice(0, 6)}...${key.slice(-4)}`;
    const table = await good(running.dataDir, 'keys', 'list');
    expect(table).toMatch(/^ID +KEY +NAME +TEAM +CREATED +LAST USED$/m);
    expect(table.split('\n').find((line) => line.includes(mask))).toContain('for people');
    expect(table).not.toContain(key);
    expect(await good(running.dataDir, 'keys', 'revoke', key)).toContain(`Revoked ${mask} ("for people"`);
  });

  it('revokes by mask and by beginning, but nothing that means several', async () => {
    const [one, two] = [
      await goodJson<Key>(running.dataDir, 'keys', 'create', '--name', 'one'),
      await goodJson<Key>(running.dataDir, 'keys', 'create', '--name', 'two'),
    ];
    expect(await bad(running.dataDir, 'keys', 'revoke', 'e2b_')).toMatch(
      /names several keys|no key is named/,
    );
    expect((await goodJson<Key[]>(running.dataDir, 'keys', 'list')).map(({ id }) => id)).toEqual(
      expect.arrayContaining([one.id, two.id]),
    );
    await good(running.dataDir, 'keys', 'revoke', one.mask);
    await good(running.dataDir, 'keys', 'revoke', two.key ?? '');
    expect(await bad(running.dataDir, 'keys', 'revoke', 'nonsense')).toContain('islet keys list');
  });

  it('names the teams there are where one is asked for that is not', async () => {
    const error = await bad(running.dataDir, 'keys', 'create', '--team', 'nobody');
    expect(error).toContain('there is no team "nobody"');
    expect(error).toContain('local-dev-team');
  });
});

describe('a key made while Islet runs', () => {
  it('works at once, and notes its use', async () => {
    const { id, key = '' } = await goodJson<Key>(running.dataDir, 'keys', 'create', '--name', 'used');
    const api = new ControlPlane(running, key);
    expect((await api.call('GET', '/sandboxes')).status).toBe(200);
    await expect
      .poll(async () => {
        const keys = await goodJson<Key[]>(running.dataDir, 'keys', 'list');
        return keys.find((row) => row.id === id)?.lastUsed;
      })
      .toMatch(/^\d{4}-/);
    await good(running.dataDir, 'keys', 'revoke', id);
  });
});
