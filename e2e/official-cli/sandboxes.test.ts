import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ControlPlane, newTeam } from '../setup/control-plane.ts';
import { until } from '../setup/until.ts';
import { OfficialCli } from './cli.ts';

const access = inject('islet');
let api: ControlPlane;
let cli: OfficialCli;
beforeAll(async () => {
  api = await newTeam(access, 'CLI sandboxes');
  cli = await OfficialCli.open({ ...access, apiKey: api.key });
});
afterEach(() => cli.run(['sandbox', 'kill', '--all']));
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await cli[Symbol.asyncDispose]();
});

interface ListedSandbox {
  sandboxId: string;
  state: string;
}

const list = async (...args: string[]): Promise<ListedSandbox[]> =>
  JSON.parse(await cli.succeed(['sandbox', 'list', '--format', 'json', ...args]));

/** A sandbox of `e2b sandbox create --detach`. */
async function create(...args: string[]): Promise<string> {
  const said = await cli.succeed(['sandbox', 'create', 'base', '--detach', '--timeout', '1800', ...args]);
  const id = /\bi[a-z0-9]{20}\b/.exec(said)?.[0];
  if (!id) throw new Error(`no sandbox id in: ${said}`);
  return id;
}

describe('e2b sandbox', { timeout: 400_000 }, () => {
  it('creates, lists, shows, pauses, resumes and kills', async () => {
    const id = await create();
    expect((await list()).map(({ sandboxId }) => sandboxId)).toEqual([id]);
    expect(await cli.succeed(['sandbox', 'list'])).toContain(id);
    expect(await cli.succeed(['sandbox', 'list', '--template', 'base', '--limit', '1'])).toContain(id);
    expect(JSON.parse(await cli.succeed(['sandbox', 'info', id, '--format', 'json']))).toMatchObject({
      sandboxId: id,
    });
    await cli.succeed(['sandbox', 'pause', id]);
    expect(await list()).toEqual([]);
    expect(await list('--state', 'paused')).toMatchObject([{ sandboxId: id, state: 'paused' }]);
    await cli.succeed(['sandbox', 'resume', id]);
    expect(await list()).toMatchObject([{ sandboxId: id, state: 'running' }]);
    expect(await cli.succeed(['sandbox', 'kill', id])).toContain(id);
    expect(await list()).toEqual([]);
    const gone = await cli.run(['sandbox', 'kill', id]);
    expect(gone.stdout + gone.stderr).toMatch(/not found|wasn't found/i);
    const other = [await create(), await create()];
    expect((await list()).map(({ sandboxId }) => sandboxId).sort()).toEqual(other.sort());
    await cli.succeed(['sandbox', 'kill', '--all']);
    expect(await list()).toEqual([]);
  });

  it('executes commands with their input, output, surroundings and exit status', async () => {
    const id = await create();
    const { code, stdout, stderr } = await cli.run(['sandbox', 'exec', id, 'echo out; echo err >&2; exit 7']);
    expect({ code, stdout, stderr: stderr.trim() }).toEqual({
      code: 7,
      stdout: 'out\n',
      stderr: 'err\nexit status 7',
    });
    const where = [
      'sandbox',
      'exec',
      '-u',
      'root',
      '-c',
      '/srv',
      '-e',
      'MODE=test',
      id,
      'whoami; pwd; echo $MODE',
    ];
    expect(await cli.succeed(where)).toBe('root\n/srv\ntest\n');
    expect((await cli.run(['sandbox', 'exec', id, 'tr a-z A-Z'], { input: 'through stdin' })).stdout).toBe(
      'THROUGH STDIN',
    );
    await cli.succeed(['sandbox', 'exec', '--background', id, 'sleep 1000']);
    await until(
      'it runs',
      10_000,
      () => cli.succeed(['sandbox', 'exec', id, 'pgrep -c -x sleep || true']),
      (count) => count === '1\n',
    );
    await cli.succeed(['sandbox', 'kill', id]);
  });

  it('opens terminals: create ends its sandbox, connect leaves it', async () => {
    const owner = cli.terminal(['sandbox', 'create', 'base']);
    try {
      await owner.shows(/\$ $/);
      owner.type('echo "it $((40 + 2))"; stty size\r');
      await owner.shows(/it 42\s+30 120/);
      const [{ sandboxId } = { sandboxId: '' }] = await list();

      const guest = cli.terminal(['sandbox', 'connect', sandboxId]);
      try {
        await guest.shows(/\$ $/);
        guest.type('echo "guest $((1 + 1))" > ~/note; cat ~/note\r');
        await guest.shows(/guest 2/);
        guest.type('exit\r');
        expect(await guest.ended).toBe(0);
      } finally {
        guest.close();
      }
      expect(await list()).toHaveLength(1);
      owner.type('cat ~/note; exit\r');
      await owner.shows(/cat ~\/note; exit\s+guest 2/);
      expect(await owner.ended).toBe(0);
    } finally {
      owner.close();
    }
    await until('the sandbox ends with its terminal', 20_000, list, (left) => left.length === 0);
  });

  it('spawn is create by its older name', async () => {
    const terminal = cli.terminal(['sandbox', 'spawn', 'base']);
    try {
      await terminal.shows(/\$ $/);
      terminal.type('exit\r');
      expect(await terminal.ended).toBe(0);
    } finally {
      terminal.close();
    }
    await until('the sandbox ends with its terminal', 20_000, list, (left) => left.length === 0);
  });

  it('shows metrics', async () => {
    const id = await create();
    const shown = await until(
      'the first sample is taken',
      30_000,
      () => cli.succeed(['sandbox', 'metrics', id, '--format', 'json']),
      (text) => text.trim() !== '' && text.includes('cpuUsedPct'),
    );
    expect(shown).toContain('memUsed');
    await cli.succeed(['sandbox', 'kill', id]);
  });

  it('shows what happened in a sandbox, also after its end', async () => {
    const id = await create();
    await cli.succeed(['sandbox', 'exec', id, 'echo never logged; exit 0']);
    await cli.run(['sandbox', 'exec', id, 'exit 5']);
    const logs = async (...args: string[]): Promise<Record<string, string>[]> => {
      const text = await cli.succeed(['sandbox', 'logs', id, '--format', 'json', ...args]);
      return text
        .trim()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line));
    };
    const seen = await until('both ends are told', 30_000, logs, (all) =>
      all.some(({ message }) => message === 'process ended: exit status 5'),
    );
    expect(seen[0]).toMatchObject({ logger: 'orchestrator', message: 'sandbox runs' });
    expect(seen).toContainEqual(
      expect.objectContaining({ logger: 'process', event_type: 'process_start', user: 'user' }),
    );
    expect(seen.every(({ cmd = '', message = '' }) => !/^never logged/m.test(cmd + message))).toBe(true);
    expect((await logs('--loggers', 'orchestrator')).map(({ message }) => message)).toEqual(['sandbox runs']);
    expect((await logs('--level', 'WARN')).map(({ exit_code }) => exit_code)).toEqual(['5']);

    const following = cli.run(['sandbox', 'logs', id, '--follow']);
    await cli.succeed(['sandbox', 'kill', id]);
    expect((await following).stdout).toContain('process ended: exit status 5');
    const all = await until('its end is told', 30_000, logs, (lines) =>
      lines.some(({ message }) => message === 'sandbox ended'),
    );
    expect(all.at(-1)).toMatchObject({ message: 'sandbox ended', kill_reason: 'request' });
  });
});
