import {
  AuthenticationError,
  InvalidArgumentError,
  NotFoundError,
  Sandbox,
  SandboxError,
  type SandboxInfo,
  SandboxNotFoundError,
  TimeoutError,
} from 'e2b';
import { describe, expect, it } from 'vitest';
import { until } from '../setup/until.ts';
import { connection, LIFE_MS, newSandbox, rejection, sharedSandbox, withSandbox } from './sandbox.ts';

/** Before any of its samples; where its runs are counted anew after a resume, `startedAt` is not. */
const begun = Date.now();
const sandbox = sharedSandbox({ metadata: { purpose: 'sandboxes.test', 'with space': 'ü & = ?' } });
/** Samples are told at the beginning of the bucket that they fall in, ms. */
const BUCKET_MS = 5_000;
const UNKNOWN = 'i0unknown0sandbox0id';

/** Seconds from now to the end of a sandbox. */
const secondsLeft = (info: SandboxInfo) => (info.endAt.getTime() - Date.now()) / 1_000;

describe('create', () => {
  it('gives a running sandbox of the base template', async () => {
    const info = await sandbox.current.getInfo();
    expect(info).toMatchObject({
      sandboxId: sandbox.current.sandboxId,
      name: 'base',
      state: 'running',
      metadata: { purpose: 'sandboxes.test', 'with space': 'ü & = ?' },
    });
    expect(info.cpuCount).toBeGreaterThan(0);
    expect(info.memoryMB).toBeGreaterThanOrEqual(128);
    expect(info.envdVersion).toMatch(/^\d+\.\d+\.\d+$/);
    expect(info.endAt.getTime() - info.startedAt.getTime()).toBe(LIFE_MS);
    expect(info.templateId).toMatch(/^[a-z0-9]+$/);
    expect(await sandbox.current.isRunning()).toBe(true);
  });

  it('takes the template by name and by id', async () => {
    const { templateId } = await sandbox.current.getInfo();
    for (const template of ['base', templateId]) {
      const made = await Sandbox.create(template, connection);
      expect((await made.getInfo()).templateId).toBe(templateId);
      await made.kill();
    }
  });

  it('takes environment, timeout and settings of the network', async () => {
    const opts = {
      envs: { A: 'b c' },
      timeoutMs: 45_000,
      allowInternetAccess: false,
      secure: true,
      lifecycle: { onTimeout: 'kill' as const },
    };
    await withSandbox(opts, async (made) => {
      expect((await made.commands.run('echo $A')).stdout).toBe('b c\n');
      const info = await made.getInfo();
      expect(info.allowInternetAccess).toBe(false);
      expect(info.endAt.getTime() - info.startedAt.getTime()).toBe(45_000);
    });
    await withSandbox({ allowInternetAccess: true }, async (made) => {
      expect((await made.getInfo()).allowInternetAccess).toBe(true);
    });
  });

  it('lives for five minutes unless told otherwise', async () => {
    const made = await Sandbox.create(connection);
    const { startedAt, endAt } = await made.getInfo();
    expect(endAt.getTime() - startedAt.getTime()).toBe(300_000);
    await made.kill();
  });

  it.each([
    ['an unknown template', () => Sandbox.create('no-such-template', connection), NotFoundError],
    ['a timeout over the team’s', () => newSandbox({ timeoutMs: 1_000 * 86_400_000 }), InvalidArgumentError],
    ['a negative timeout', () => newSandbox({ timeoutMs: -1_000 }), InvalidArgumentError],
    ['a key that is none', () => newSandbox({ apiKey: 'nonsense' }), AuthenticationError],
    ['an unknown key', () => newSandbox({ apiKey: `e2b_${'0'.repeat(32)}` }), AuthenticationError],
  ])('is refused with %s', async (_, create, kind) => {
    const error = await rejection(create());
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).not.toBe('');
    if (kind === AuthenticationError) expect(error).toBeInstanceOf(AuthenticationError);
    else expect(error).toBeInstanceOf(SandboxError);
  });
});

describe('connect', () => {
  it('to a running sandbox works on the same one, by id and by object', async () => {
    await sandbox.current.files.write('/tmp/left', 'here');
    const again = await Sandbox.connect(sandbox.current.sandboxId, connection);
    expect(again.sandboxId).toBe(sandbox.current.sandboxId);
    expect(await again.files.read('/tmp/left')).toBe('here');
    expect(again.getHost(80)).toBe(sandbox.current.getHost(80));
    expect(await (await sandbox.current.connect()).files.read('/tmp/left')).toBe('here');
  });

  it('makes its life longer, never shorter', async () => {
    await withSandbox({ timeoutMs: 120_000 }, async (made) => {
      const before = (await made.getInfo()).endAt.getTime();
      await Sandbox.connect(made.sandboxId, { ...connection, timeoutMs: 10_000 });
      expect((await made.getInfo()).endAt.getTime()).toBe(before);
      await made.connect({ timeoutMs: 600_000 });
      expect(secondsLeft(await made.getInfo())).toBeGreaterThan(500);
    });
  });

  it('is refused for one that is not there', async () => {
    expect(await rejection(Sandbox.connect(UNKNOWN, connection))).toBeInstanceOf(SandboxNotFoundError);
  });
});

describe('setTimeout', () => {
  it('counts from now, for longer and shorter', async () => {
    await withSandbox({}, async (made) => {
      await made.setTimeout(900_000);
      expect(secondsLeft(await made.getInfo())).toBeGreaterThan(800);
      await Sandbox.setTimeout(made.sandboxId, 60_000, connection);
      expect(secondsLeft(await made.getInfo())).toBeLessThanOrEqual(60);
    });
  });

  it('ends the sandbox when it has passed', async () => {
    const made = await newSandbox();
    await made.setTimeout(1_000);
    await until(
      'it has ended',
      15_000,
      () => made.isRunning(),
      (running) => !running,
    );
    expect(await rejection(made.getInfo())).toBeInstanceOf(SandboxNotFoundError);
    await until(
      'nothing is left to be killed; while it ends, whoever kills it is told that they did',
      15_000,
      () => made.kill(),
      (killed) => !killed,
    );
  });

  it('is refused for a sandbox that is not there', async () => {
    expect(await rejection(Sandbox.setTimeout(UNKNOWN, 1_000, connection))).toBeInstanceOf(
      SandboxNotFoundError,
    );
  });
});

describe('kill', () => {
  it('ends a sandbox, once', async () => {
    const made = await newSandbox();
    expect(await made.kill()).toBe(true);
    expect(await made.kill()).toBe(false);
    expect(await made.isRunning()).toBe(false);
    expect(await rejection(made.getInfo())).toBeInstanceOf(SandboxNotFoundError);
    expect(await rejection(Sandbox.connect(made.sandboxId, connection))).toBeInstanceOf(SandboxNotFoundError);
  });

  it('by its id does the same', async () => {
    const made = await newSandbox();
    expect(await Sandbox.kill(made.sandboxId, connection)).toBe(true);
    expect(await Sandbox.kill(made.sandboxId, connection)).toBe(false);
    expect(await Sandbox.kill(UNKNOWN, connection)).toBe(false);
  });

  it('makes what is asked of it afterwards fail as timed out or not found', async () => {
    const made = await newSandbox();
    await made.kill();
    const calls = [
      () => made.files.read('/etc/hostname'),
      () => made.files.write('/tmp/x', 'x'),
      () => made.files.list('/'),
      () => made.commands.list(),
    ];
    for (const call of calls) expect(await rejection(call())).toBeInstanceOf(TimeoutError);
    const starts = [
      () => made.commands.run('true'),
      () => made.commands.connect(1),
      () => made.files.watchDir('/tmp', () => {}),
      () => made.pty.create({ cols: 80, rows: 24, onData: () => {} }),
    ];
    for (const start of starts) expect(await rejection(start())).toBeInstanceOf(SandboxNotFoundError);
  });

  it('ends what is running in it, and says why', async () => {
    const made = await newSandbox();
    const handle = await made.commands.run('sleep 300', { background: true });
    let left: (error?: Error) => void = () => {};
    const watchEnd = new Promise<Error | undefined>((resolve) => {
      left = resolve;
    });
    await made.files.watchDir('/tmp', () => {}, { onExit: left });
    const waiting = rejection(handle.wait());
    await made.kill();
    expect(await waiting).toBeInstanceOf(TimeoutError);
    expect(await watchEnd).toBeInstanceOf(TimeoutError);
  });
});

describe('getInfo', () => {
  it('by id is the same', async () => {
    const { sandboxId } = sandbox.current;
    const info = await sandbox.current.getInfo();
    expect(await Sandbox.getInfo(sandboxId, connection)).toEqual(info);
    expect(await Sandbox.getFullInfo(sandboxId, connection)).toEqual(info);
  });

  it('is refused for one that is not there', async () => {
    expect(await rejection(Sandbox.getInfo(UNKNOWN, connection))).toBeInstanceOf(SandboxNotFoundError);
  });

  it('tells the domain that getHost uses', async () => {
    const { sandboxDomain } = await sandbox.current.getInfo();
    expect(sandboxDomain).toBe(sandbox.current.sandboxDomain);
    expect(sandbox.current.getHost(1)).toContain(`.${sandboxDomain}`);
  });
});

describe('getMetrics', () => {
  it('tells what the sandbox uses', async () => {
    const metrics = await until(
      'there is a sample',
      20_000,
      () => sandbox.current.getMetrics(),
      (samples) => samples.length > 0,
    );
    const info = await sandbox.current.getInfo();
    for (const sample of metrics) {
      expect(sample.cpuCount).toBe(info.cpuCount);
      expect(sample.memTotal).toBeGreaterThan(0);
      expect(sample.memUsed).toBeGreaterThan(0);
      expect(sample.memUsed).toBeLessThanOrEqual(sample.memTotal);
      expect(sample.diskTotal).toBeGreaterThan(0);
      expect(sample.cpuUsedPct).toBeGreaterThanOrEqual(0);
      expect(sample.timestamp.getTime()).toBeGreaterThan(begun - BUCKET_MS);
    }
    const { sandboxId } = sandbox.current;
    expect((await Sandbox.getMetrics(sandboxId, connection)).length).toBeGreaterThanOrEqual(metrics.length);
    const before = new Date(begun - 60_000);
    expect(
      await sandbox.current.getMetrics({ start: new Date(before.getTime() - 60_000), end: before }),
    ).toEqual([]);
  });

  it('is empty for a sandbox that is not there', async () => {
    expect(await Sandbox.getMetrics(UNKNOWN, connection)).toEqual([]);
  });
});

describe('updateNetwork', () => {
  it('replaces the rules for what goes out, and tells them', async () => {
    await sandbox.current.updateNetwork({ denyOut: ['203.0.113.0/24'], allowOut: ['203.0.113.7'] });
    expect((await sandbox.current.getInfo()).network).toMatchObject({
      denyOut: ['203.0.113.0/24'],
      allowOut: ['203.0.113.7'],
    });
    await Sandbox.updateNetwork(sandbox.current.sandboxId, {}, connection);
    const { network } = await sandbox.current.getInfo();
    expect(network?.denyOut ?? []).toEqual([]);
    expect(network?.allowOut ?? []).toEqual([]);
  });

  it('is refused with what is no address, and for a sandbox that is not there', async () => {
    expect(await rejection(sandbox.current.updateNetwork({ denyOut: ['no address'] }))).toBeInstanceOf(
      SandboxError,
    );
    expect(await rejection(Sandbox.updateNetwork(UNKNOWN, {}, connection))).toBeInstanceOf(
      SandboxNotFoundError,
    );
  });
});
