import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSite, SITE_END_MS, SITE_START_MS, type Site } from './site.ts';
import { buildTemplate, finishBuild, logsOf, runStep, startBuild, untilLogged } from './template.ts';

const slow = { timeout: 180_000 };

describe.runIf(process.getuid?.() === 0)('the life of a build', () => {
  let site: Site;
  beforeAll(async () => {
    site = await openSite();
  }, SITE_START_MS);
  afterAll(() => site?.[Symbol.asyncDispose](), SITE_END_MS);

  /**
   * Half-made layers, machines of builds, mounts and disks: of none of them may be one when no build runs. The kernel takes down what
   * a killed machine had mounted a moment after it.
   */
  const leftovers = async () => {
    const layers = await readdir(join(site.dir, 'cache/layers')).catch(() => []);
    return {
      layers: layers.filter((name) => name.startsWith('.')),
      machines: await readdir(join(site.dir, 'machines')),
      mounts: execFileSync('cat', ['/proc/self/mountinfo'], { encoding: 'utf8' })
        .split('\n')
        .filter((line) => line.includes(site.dir) && line.includes('overlay')),
      disks: execFileSync('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE'], {
        encoding: 'utf8',
      })
        .split('\n')
        .filter((file) => file.startsWith(site.dir)),
    };
  };
  const nothing = { layers: [], machines: [], mounts: [], disks: [] };

  it('streams its log while it runs, and ends at once when it is cancelled', slow, async () => {
    const buildId = await startBuild(site, { steps: [runStep('echo begun; sleep 3600')] });
    await untilLogged(site, buildId, /stdout\]: begun/);
    const whole = await logsOf(site, buildId);
    expect(await logsOf(site, buildId, { offset: 1, limit: 1 })).toEqual([whole[1]]);
    expect(await logsOf(site, buildId, { offset: whole.length + 10 })).toEqual([]);
    await site.client.cancelBuild({ buildId, reason: 'superseded by another build' });
    await expect.poll(leftovers).toEqual(nothing);
    const { state, messages } = await finishBuild(site, buildId);
    expect(state).toMatchObject({
      case: 'failure',
      value: { message: 'superseded by another build', step: '' },
    });
    expect(messages.slice(0, whole.length)).toEqual(whole);
    // Nothing to do for one that has ended.
    await site.client.cancelBuild({ buildId, reason: '' });
    await expect(site.client.getBuildLogs({ buildId: randomUUID(), limit: 1 })).rejects.toThrow(/not known/);
  });

  it('ends at once while its image comes, and while it waits to be ready', slow, async () => {
    let asked = 0;
    // Takes connections and never answers.
    const registry = createServer((socket) => {
      asked++;
      socket.on('error', () => {}).resume();
    }).listen(0, '127.0.0.1');
    await once(registry, 'listening');
    try {
      const { port } = registry.address() as AddressInfo;
      const pulling = await startBuild(site, { image: { reference: `127.0.0.1:${port}/image` } });
      await expect.poll(() => asked).toBeGreaterThan(0);
      await site.client.cancelBuild({ buildId: pulling, reason: '' });
      const connections = () => promisify(registry.getConnections.bind(registry))();
      await expect.poll(connections).toBe(0);
      expect(await readdir(join(site.dir, 'cache/images/pulls'))).toEqual([]);
    } finally {
      registry.close();
    }
    const before = site.orchestrator.templates.rootfsDirs();
    const starting = await startBuild(site, {
      steps: [runStep('touch ~/new')],
      startCommand: 'echo begun; sleep 3600',
      readyCommand: 'sleep 3600',
    });
    await untilLogged(site, starting, /^\[start\] \[stdout\]: begun/);
    await site.client.deleteBuild({ buildId: starting });
    await expect.poll(leftovers).toEqual(nothing);
    expect(site.orchestrator.templates.rootfsDirs()).toEqual(before);
    await expect(logsOf(site, starting)).rejects.toThrow(/not known/);
  });

  it('goes on after its manager was stopped, from the layers that were made', slow, async () => {
    const flag = randomUUID();
    const buildId = await startBuild(site, {
      steps: [runStep(`echo first-${flag}`), runStep(`echo second-${flag}; sleep 4`), runStep('true')],
    });
    await untilLogged(site, buildId, new RegExp(`stdout\\]: second-${flag}`));
    await site.reopenBuilds();
    const { state, messages } = await finishBuild(site, buildId);
    expect(state.case).toBe('ready');
    expect(messages.filter((message) => message.endsWith(`[stdout]: first-${flag}`))).toHaveLength(1);
    expect(messages).toContainEqual(expect.stringMatching(/template manager was restarted/));
    expect(messages).toContainEqual(expect.stringMatching(/^CACHED \[builder 1\/3\]/));
    await expect.poll(leftovers).toEqual(nothing);
  });

  it('makes forced steps and all after them again', { ...slow, tags: 'long' }, async () => {
    const teamId = randomUUID();
    const draw = (force: boolean) => ({ ...runStep('head -c8 /dev/urandom | base64 > ~/drawn'), force });
    const steps = (force: boolean) => [runStep('true'), draw(force), runStep('cat ~/drawn')];
    const drawn = ({ messages }: { messages: string[] }) =>
      messages.find((message) => message.startsWith('[builder 3/3] [stdout]'));
    const first = await buildTemplate(site, { teamId, steps: steps(false) });
    const forced = await buildTemplate(site, { teamId, steps: steps(true) });
    expect(forced.messages).toContainEqual(expect.stringMatching(/^CACHED \[builder 1\/3\]/));
    expect(drawn(forced)).toBeDefined();
    expect(drawn(forced)).not.toBe(drawn(first));
    // What was made last counts from then on.
    const after = await buildTemplate(site, { teamId, steps: steps(false) });
    expect(after.messages).toContainEqual(expect.stringMatching(/^CACHED \[builder 3\/3\]/));
  });

  it('shares no step with another team', slow, async () => {
    const steps = [runStep('true')];
    await buildTemplate(site, { steps });
    const { messages } = await buildTemplate(site, { steps });
    expect(messages).not.toContainEqual(expect.stringMatching(/^CACHED \[builder/));
  });

  it('fails with its start command, and tells what that wrote', slow, async () => {
    const { state, messages } = await buildTemplate(site, {
      startCommand: 'echo no such thing >&2; exit 7',
      readyCommand: 'sleep 100',
    });
    expect(state).toMatchObject({
      value: { step: 'finalize', message: 'start command failed: exit status 7' },
    });
    expect(messages).toContain('[start] [stderr]: no such thing');
    await expect.poll(leftovers).toEqual(nothing);
  });

  it('says so if a step needs more memory than the template has', slow, async () => {
    const { state } = await buildTemplate(site, {
      memoryMb: 256,
      steps: [runStep('python3 -c "x = bytearray(2 * 1024 ** 3)"')],
    });
    expect(state).toMatchObject({ case: 'failure', value: { step: '1' } });
    expect((state.value as { message: string }).message).toMatch(/more memory than the template's 256 MiB/);
  });

  it('has a full disk if its files would take more than they may, with what the steps before wrote', {
    ...slow,
    tags: 'long',
  }, async () => {
    const write = (mib: number) => runStep(`head -c ${mib}M /dev/urandom > ~/file-${mib}`);
    const fits = await buildTemplate(site, { diskLimitMb: 48, steps: [write(20), write(21)] });
    expect(fits.state.case).toBe('ready');
    const endless = runStep('cat /dev/zero > ~/endless || { stat -c "wrote %s" ~/endless; exit 9; }');
    const steps = [write(20), write(21), { ...endless, force: true }];
    const { state, messages } = await buildTemplate(site, { diskLimitMb: 48, steps });
    const message = expect.stringMatching(
      /^failed to run .* exit status 9: its disk is full; .* the 48 MiB .* --disk-mb/,
    );
    expect(state).toMatchObject({ case: 'failure', value: { step: '3', message } });
    expect(messages).toContainEqual(expect.stringMatching(/stderr\]: .*No space left on device/));
    const wrote = messages
      .map((line) => Number(/stdout\]: wrote (\d+)$/.exec(line)?.[1]))
      .find(Number.isFinite);
    expect(wrote).toBeGreaterThan(5 * 1024 ** 2);
    expect(wrote).toBeLessThan(10 * 1024 ** 2);
    await expect.poll(leftovers).toEqual(nothing);
  });

  it('waits for a place if enough others of its team run, and another team does not', slow, async () => {
    const teamId = randomUUID();
    const blockers = await Promise.all(
      [1, 2].map((n) => startBuild(site, { teamId, steps: [runStep(`echo begun; sleep 360${n}`)] })),
    );
    for (const buildId of blockers) await untilLogged(site, buildId, /stdout\]: begun/);
    const waiting = await startBuild(site, { teamId, steps: [runStep('true')] });
    expect((await buildTemplate(site, { steps: [runStep('true')] })).state.case).toBe('ready');
    await untilLogged(site, waiting, /^Waiting for other builds to end/);
    await sleep(200);
    expect(await logsOf(site, waiting)).toHaveLength(2);
    for (const buildId of blockers) await site.client.cancelBuild({ buildId, reason: '' });
    expect((await finishBuild(site, waiting)).state.case).toBe('ready');
  });

  it('frees its root file system when it is deleted, unless another build stands on it', slow, async () => {
    const rootfs = async () =>
      (await readdir(join(site.dir, 'rootfs'))).filter((name) => !name.startsWith('.'));
    const before = await rootfs();
    const parent = await buildTemplate(site, { steps: [runStep('touch ~/parent')] });
    const child = await buildTemplate(site, { parent: parent.buildId });
    expect(child.state.case).toBe('ready');
    expect(await rootfs()).toHaveLength(before.length + 1);
    await site.client.deleteBuild({ buildId: parent.buildId });
    await expect(logsOf(site, parent.buildId)).rejects.toThrow(/not known/);
    await site.reopenBuilds(); // everything is tidy then
    expect(await rootfs()).toHaveLength(before.length + 1);
    await site.client.deleteBuild({ buildId: child.buildId });
    await expect.poll(rootfs).toEqual(before);
  });
});
