import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { evaluateLoopDevices, probeLoopDevices } from './checks/loop-devices.ts';
import { evaluateNamespaces, probeNamespaces } from './checks/namespaces.ts';
import { evaluateNftables, probeNftables } from './checks/nftables.ts';
import { evaluateRunsc, probeRunsc } from './checks/runsc.ts';
import { parseStatus, probeConfinement } from './confinement.ts';
import { type Run, runHost } from './run.ts';

/** The probes make real namespaces and sandboxes, which needs root; `npm test` has it. */
const asRoot = describe.runIf(process.getuid?.() === 0);

/** Runs every command of a probe as a user without rights, as a badly started orchestrator would. */
const unprivileged: Run = (file, args, options) =>
  runHost('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', file, ...args], options);

/** Runs every command with one capability taken away for good, as in a container. */
const withoutCapability =
  (name: string): Run =>
  (file, args, options) =>
    runHost('setpriv', [`--bounding-set=-${name}`, `--inh-caps=-${name}`, file, ...args], options);

/** The confinement that commands run through `run` find themselves in. */
async function confinementOf(run: Run) {
  const { stdout } = await run('cat', ['/proc/self/status']);
  return { ...(await probeConfinement()), ...parseStatus(stdout) };
}

asRoot('probes on this machine', () => {
  it('find namespaces, firewall, runsc and file systems in files working', async () => {
    const confinement = await probeConfinement();
    expect(evaluateNamespaces(await probeNamespaces(runHost, confinement))).toMatchObject({ status: 'ok' });
    expect(evaluateNftables(await probeNftables(runHost), confinement)).toMatchObject({ status: 'ok' });
    const runsc = await probeRunsc(runHost, process.env.PATH ?? '', confinement);
    expect(evaluateRunsc(runsc)).toMatchObject({ status: 'ok' });
    const loop = await probeLoopDevices(runHost);
    expect(evaluateLoopDevices(loop, confinement)).toMatchObject({ status: 'ok' });
  });

  it('name the capability that a process without rights lacks', async () => {
    const confinement = await confinementOf(unprivileged);
    expect(confinement.uid).toBe(65534);
    const result = evaluateNamespaces(await probeNamespaces(unprivileged, confinement));
    expect(result).toMatchObject({
      status: 'failed',
      cause: expect.stringContaining('lacks CAP_SYS_ADMIN (uid 65534'),
    });
    const firewall = evaluateNftables(await probeNftables(unprivileged), confinement);
    expect(firewall).toMatchObject({
      status: 'failed',
      cause: expect.stringContaining('lacks CAP_SYS_ADMIN (uid 65534'),
    });
  });

  it('name the capability that a container dropped', async () => {
    const run = withoutCapability('sys_admin');
    const result = evaluateNamespaces(await probeNamespaces(run, await confinementOf(run)));
    expect(result).toMatchObject({
      status: 'failed',
      cause: expect.stringContaining('dropped CAP_SYS_ADMIN'),
    });
    expect(result.fix).toContain('--cap-add SYS_ADMIN');
    // Not the kernel is to blame, nor would root help.
    const firewall = evaluateNftables(await probeNftables(run), await confinementOf(run));
    expect(firewall.cause).toContain('dropped CAP_SYS_ADMIN');
    const runsc = await probeRunsc(run, process.env.PATH ?? '', await confinementOf(run));
    expect(evaluateRunsc(runsc).cause).toContain('dropped CAP_SYS_ADMIN');
  });

  it('leave nothing behind', async () => {
    const confinement = await probeConfinement();
    await probeNamespaces(runHost, confinement);
    await probeNftables(runHost);
    await probeRunsc(runHost, process.env.PATH ?? '', confinement);
    expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain('islet-doctor');
    expect(await readFile('/proc/net/dev', 'utf8')).not.toContain('isletdoc');
    const { stdout } = await runHost('nft', ['list', 'tables']);
    expect(stdout).not.toContain('islet_doctor');
    const cgroups = await readdir('/sys/fs/cgroup').catch(() => []);
    expect(cgroups.filter((name) => name.startsWith('islet-doctor'))).toEqual([]);
  });
});

describe('a command of a probe', () => {
  it('that does not exist is an answer', async () => {
    expect(await runHost('/no/such/program', [])).toEqual({ code: null, stdout: '', stderr: 'ENOENT' });
  });

  it('that fails is an answer', async () => {
    const result = await runHost('sh', ['-c', 'cat; echo bad >&2; exit 3'], { input: 'in' });
    expect(result).toEqual({ code: 3, stdout: 'in', stderr: 'bad\n' });
  });
});
