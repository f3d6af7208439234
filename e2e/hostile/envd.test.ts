import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ControlPlane, newTeam } from '../setup/control-plane.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { VIRTUAL_MACHINES } from '../setup/isolation.ts';
import { until } from '../setup/until.ts';
import { impersonateEnvd, type Lies, stopEnvd } from './impostor.ts';

type Team = Awaited<ReturnType<typeof newTeam>>;
type Corruption = (sandbox: Sandbox) => Promise<void>;

const lie =
  (lies: Lies): Corruption =>
  (sandbox) =>
    impersonateEnvd(sandbox, lies);

const record = (over: object) =>
  `${JSON.stringify({ ...{ seq: 0, timeMs: 8e15, level: 'error', logger: 'process', message: 'forged', fields: {} }, ...over })}\n`;
const metrics = (over: string) =>
  `{"cpu_used_pct":1,"mem_total":1,"mem_used":1,"mem_cache":1,"disk_used":1,"disk_total":1,${over}}`;

/** What root in a sandbox makes of its daemon. */
const CORRUPTIONS: Record<string, Corruption> = {
  'answers null': lie({ '*': { body: 'null' } }),
  'answers records of null': lie({ '/journal': { body: '{"records":null}\n' }, '/metrics': { body: '[]' } }),
  hangs: lie({ '*': { hang: true } }),
  floods: lie({ '*': { body: 'x'.repeat(1_000), times: 0 } }),
  'floods in chunks': lie({ '*': { body: record({}), times: 0, chunked: true } }),
  drips: lie({ '*': { body: 'null', times: 0, drip: 0.05 } }),
  'sends headers without end': lie({ '*': { raw: 'HTTP/1.1 200 OK\r\n', times: 0 } }),
  'sends interim answers without end': lie({ '*': { raw: 'HTTP/1.1 103 Early\r\n\r\n', times: 0 } }),
  'answers deep JSON and strange numbers': lie({
    '/journal': { body: '['.repeat(30_000) },
    '/metrics': {
      body: metrics('"mem_used":1e999,"cpu_used_pct":-1'),
      headers: { 'X-Journal-Head': '1e400' },
    },
  }),
  'is stopped': (sandbox) =>
    VIRTUAL_MACHINES ? impersonateEnvd(sandbox, { '*': { hang: true } }) : stopEnvd(sandbox),
};

/** Those that a way of ending is tried with. */
const ENDED = ['answers records of null', 'hangs', 'floods', 'is stopped'];

let dataDir: string;
let islet: RunningInstance;
let attackers: Team;
let quiet: Team;
let bystander: Sandbox;
let logs = '';

const connection = (team: ControlPlane) => {
  const { apiUrl, sandboxUrl } = islet.access;
  return { apiUrl, sandboxUrl, apiKey: team.key };
};

async function corrupted(team: Team, names: readonly string[]): Promise<Sandbox[]> {
  return Promise.all(
    names.map(async (name) => {
      const sandbox = await Sandbox.create({ ...connection(team), timeoutMs: 600_000 });
      await CORRUPTIONS[name]?.(sandbox);
      return sandbox;
    }),
  );
}

const isGone = (team: ControlPlane, { sandboxId }: Sandbox) =>
  until(
    `${sandboxId} is gone`,
    15_000,
    () => team.get(sandboxId),
    ({ status }) => status === 404,
  );

const samplesOf = async (team: ControlPlane, { sandboxId }: Sandbox): Promise<number> =>
  (await team.call<unknown[]>('GET', `/sandboxes/${sandboxId}/metrics`)).body.length;

const logOf = async (team: ControlPlane, { sandboxId }: Sandbox) => {
  const { body } = await team.call<{
    logs: { message: string; timestamp: string; fields: { logger: string } }[];
  }>('GET', `/v2/sandboxes/${sandboxId}/logs`);
  return body.logs;
};

/** Rounds of samples are taken of all sandboxes, the hostile ones too. */
async function afterRounds(count: number): Promise<void> {
  const before = await samplesOf(quiet, bystander);
  const enough = (samples: number) => samples >= before + count;
  await until('the bystander is sampled', 60_000, () => samplesOf(quiet, bystander), enough);
}

async function expectUnharmed(): Promise<void> {
  expect((await bystander.commands.run('echo fine')).stdout).toBe('fine\n');
  expect(logs + islet.log()).not.toContain('caught by nobody');
}

beforeAll(async () => {
  dataDir = await newDataDir();
  islet = await startInstance(dataDir);
  attackers = await newTeam(islet.access, 'attackers');
  quiet = await newTeam(islet.access, 'quiet');
  bystander = await Sandbox.create({ ...connection(quiet), timeoutMs: 600_000 });
});
afterAll(async () => {
  await islet.stop('SIGTERM');
  await removeDataDir(dataDir);
});

describe('a sandbox whose daemon is an impostor', () => {
  let hostile: Sandbox[];

  it('harms nobody but itself, whatever it answers', async () => {
    hostile = await corrupted(attackers, Object.keys(CORRUPTIONS));
    await afterRounds(2);
    await expectUnharmed();
  });

  it('harms nobody either when Islet was killed and takes it over', { tags: 'long' }, async () => {
    logs += islet.log();
    await islet.stop('SIGKILL');
    islet = await startInstance(dataDir);
    for (const team of [attackers, quiet]) Object.assign(team, { access: islet.access });
    bystander = await Sandbox.connect(bystander.sandboxId, { ...connection(quiet), timeoutMs: 600_000 });
    await afterRounds(2);
    await expectUnharmed();
    for (const { sandboxId } of hostile) expect((await attackers.get(sandboxId)).status).toBe(200);
  });

  it('is ended when its owner says so', async () => {
    const answers = hostile.map(({ sandboxId }) => attackers.call('DELETE', `/sandboxes/${sandboxId}`));
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(hostile.map(() => 204));
    await Promise.all(hostile.map((sandbox) => isGone(attackers, sandbox)));
    await expectUnharmed();
  });

  it('says nothing as another sandbox, as the node, or from the future', async () => {
    const over = { sandboxId: bystander.sandboxId, teamId: quiet.team.id };
    const says = (body: string) => ({ '/journal': { body, times: 1 } });
    const [other, node] = await Promise.all(
      [record(over), record({ ...over, logger: 'orchestrator' })].map(async (body) => {
        const sandbox = await Sandbox.create({ ...connection(attackers), timeoutMs: 600_000 });
        await impersonateEnvd(sandbox, says(body));
        // Its daemon's stream ends with that, and another one begins.
        await sandbox.pause();
        await sandbox.connect({ timeoutMs: 600_000 });
        return sandbox;
      }),
    );
    const forged = async (team: ControlPlane, sandbox: Sandbox) =>
      (await logOf(team, sandbox)).filter(({ message }) => message === 'forged');
    const [own] = await until(
      'it has said so of itself',
      30_000,
      () => forged(attackers, other as Sandbox),
      (records) => records.length > 0,
    );
    expect(Date.parse(own?.timestamp ?? '')).toBeLessThanOrEqual(Date.now());
    expect(own?.fields.logger).toBe('process');
    expect(await forged(attackers, node as Sandbox)).toEqual([]);
    expect(await forged(quiet, bystander)).toEqual([]);
    await Promise.all([other, node].map((sandbox) => sandbox?.kill()));
  });
});

describe('no end of a sandbox asks it:', () => {
  it('not one at its time', async () => {
    const hostile = await corrupted(attackers, ENDED);
    const ends = hostile.map(({ sandboxId }) =>
      attackers.call('POST', `/sandboxes/${sandboxId}/timeout`, { body: { timeout: 1 } }),
    );
    expect((await Promise.all(ends)).map(({ status }) => status)).toEqual(ENDED.map(() => 204));
    await Promise.all(hostile.map((sandbox) => isGone(attackers, sandbox)));
  });

  it('not one by the operator', async () => {
    const team = await newTeam(islet.access, 'to-be-ended');
    const hostile = await corrupted(team, ENDED);
    const adminToken = (await readFile(join(dataDir, 'secrets/admin-token'), 'utf8')).trim();
    const { body } = await team.call('POST', `/admin/teams/${team.team.id}/sandboxes/kill`, {
      key: null,
      headers: { 'X-Admin-Token': adminToken },
    });
    expect(body).toEqual({ killedCount: ENDED.length, failedCount: 0 });
    await Promise.all(hostile.map((sandbox) => isGone(team, sandbox)));
  });

  it.skipIf(VIRTUAL_MACHINES)('not one for want of memory', async () => {
    const sandbox = await Sandbox.create({ ...connection(attackers), timeoutMs: 600_000 });
    const eat =
      'python3 -c "import time; time.sleep(2); keep = [bytearray(b\'x\') * (1 << 20) for _ in range(4096)]"';
    await sandbox.commands.run(eat, { background: true, timeoutMs: 0 });
    await stopEnvd(sandbox);
    await isGone(attackers, sandbox);
  });
});

describe('a pause asks nothing of it, and its resume', () => {
  it.skipIf(VIRTUAL_MACHINES)('sets going what was stopped', async () => {
    const sandbox = await Sandbox.create({ ...connection(attackers), timeoutMs: 600_000 });
    await stopEnvd(sandbox);
    await sandbox.pause();
    await sandbox.connect({ timeoutMs: 600_000 });
    expect((await sandbox.commands.run('echo on')).stdout).toBe('on\n');
    await sandbox.kill();
  });

  it('says what is wrong if nobody answers, and leaves it to be ended', async () => {
    const [sandbox] = await corrupted(attackers, ['hangs']);
    const path = `/sandboxes/${sandbox?.sandboxId}`;
    expect((await attackers.call('POST', `${path}/pause`)).status).toBe(204);
    const { status, body } = await attackers.call('POST', `${path}/resume`, { body: { timeout: 60 } });
    expect(status).toBe(422);
    expect(body.message).toMatch(/cannot be resumed: its daemon does not answer/);
    expect((await attackers.get(sandbox?.sandboxId ?? '')).body.state).toBe('paused');
    expect((await attackers.call('DELETE', path)).status).toBe(204);
  });

  it('is given up for a kill', async () => {
    const [sandbox] = await corrupted(attackers, ['hangs']);
    const path = `/sandboxes/${sandbox?.sandboxId}`;
    expect((await attackers.call('POST', `${path}/pause`)).status).toBe(204);
    const resume = attackers.call('POST', `${path}/resume`, { body: { timeout: 60 } });
    const adminToken = (await readFile(join(dataDir, 'secrets/admin-token'), 'utf8')).trim();
    const headers = { 'X-Admin-Token': adminToken };
    const nodes = () =>
      attackers.call<{ sandboxStartingCount: number }[]>('GET', '/nodes', { key: null, headers });
    await until('the resume is under way', 10_000, nodes, ({ body }) => body[0]?.sandboxStartingCount === 1);
    expect((await attackers.call('DELETE', path)).status).toBe(204);
    // Had it ended by itself, it would say that nobody answers.
    expect((await resume).status).toBe(404);
  });
});

it('a stop of Islet asks no sandbox either', async () => {
  await corrupted(attackers, ENDED);
  await expectUnharmed();
  expect(await islet.stop('SIGTERM')).toBe(0);
});
