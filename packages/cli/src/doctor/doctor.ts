import { access, constants } from 'node:fs/promises';
import { arch, platform, release, totalmem } from 'node:os';
import type { MachinePrograms } from '@islet/driver-microvm';
import { readSystemRoots } from '../https/published.ts';
import { probeRootless } from '../rootless/requirements.ts';
import { readAuthority } from '../trust/authority.ts';
import { domainOf, type UpConfig } from '../up/config.ts';
import type { CheckResult } from './check.ts';
import { evaluateCapabilities } from './checks/capabilities.ts';
import { evaluateCgroups, probeCgroups } from './checks/cgroups.ts';
import { evaluateDatabase, evaluateKeys, evaluateWellKnown } from './checks/database.ts';
import { evaluateDenials, probeDenials } from './checks/denials.ts';
import { evaluateDisk, probeDisk } from './checks/disk.ts';
import {
  evaluateForwarding,
  evaluateKernel,
  evaluateMemory,
  evaluateNode,
  evaluatePidMax,
  probeMemory,
} from './checks/host.ts';
import { evaluateHttps } from './checks/https.ts';
import { evaluateInternet, probeInternet, wayTo } from './checks/internet.ts';
import { evaluateLoopDevices, probeLoopDevices } from './checks/loop-devices.ts';
import { evaluateMicrovm, probeMicrovm } from './checks/microvm.ts';
import { evaluateNamespaces, probeNamespaces } from './checks/namespaces.ts';
import { evaluateNftables, probeNftables } from './checks/nftables.ts';
import { evaluateOtherFirewalls, probeOtherFirewalls } from './checks/other-firewalls.ts';
import { evaluatePorts } from './checks/ports.ts';
import { evaluatePrograms, probePrograms } from './checks/programs.ts';
import { evaluateRootless } from './checks/rootless.ts';
import { evaluateRunning } from './checks/running.ts';
import { evaluateRunsc, probeRunsc } from './checks/runsc.ts';
import { evaluateSandboxNames, probeSandboxNames } from './checks/sandbox-names.ts';
import { evaluateUnprivileged, probeUnprivileged } from './checks/unprivileged.ts';
import { parseStatus, probeConfinement, readOptional } from './confinement.ts';
import { probeDatabase, probePorts, runningStatus } from './installation.ts';
import type { Run } from './run.ts';

export interface DoctorOptions {
  config: UpConfig;
  migrationsDir: string;
  /** What virtual machines are made with. */
  machines: MachinePrograms;
  run: Run;
  /** Told of each result as it comes, in the order of the report. */
  onResult: (result: CheckResult) => void;
}

/** Space of one root file system being built; and of a database and some snapshots. */
const CACHE_DISK = { id: 'cache-disk', leastGib: 2, comfortableGib: 5 } as const;
const DATA_DISK = { id: 'data-disk', leastGib: 1, comfortableGib: 10 } as const;

/** Checks everything that a start needs, by doing it. Changes nothing that outlives the checks. */
export async function examine(options: DoctorOptions): Promise<CheckResult[]> {
  const { config, run, onResult } = options;
  const begun = Date.now() / 1000;
  const confinement = await probeConfinement();
  const checks: (() => Promise<CheckResult[]>)[] = [
    async () => [evaluateNode(process.version)],
    async () => [evaluateKernel({ platform: platform(), arch: arch(), release: release() })],
    async () => [evaluateMemory(await probeMemory(totalmem()))],
    async () => [
      evaluateDisk(await probeDisk('data', config.dataDir), DATA_DISK),
      evaluateDisk(await probeDisk('templates', config.cacheDir), CACHE_DISK),
    ],
    async () => [evaluatePrograms(await probePrograms(process.env.PATH ?? ''))],
    async () => [evaluateCapabilities(confinement)],
    async () => [evaluateNamespaces(await probeNamespaces(run, confinement))],
    async () => [evaluateUnprivileged(await probeUnprivileged(run, confinement))],
    async () => evaluateRootless(process.getuid?.() === 0 ? undefined : await probeRootless(run)),
    async () => [evaluateRunsc(await probeRunsc(run, process.env.PATH ?? '', confinement))],
    async () => [evaluateMicrovm(await probeMicrovm(run, config.isolation, options.machines))],
    async () => [evaluateNftables(await probeNftables(run), confinement)],
    async () => evaluateOtherFirewalls(await probeOtherFirewalls(run)),
    async () => [evaluateLoopDevices(await probeLoopDevices(run), confinement)],
    async () => [evaluateForwarding(await probeForwarding())],
    async () => [evaluateCgroups(await probeCgroups())],
    async () => [evaluatePidMax((await readOptional('/proc/sys/kernel/pid_max'))?.trim())],
    async () => [evaluatePorts(await probePorts(config))],
    async () => {
      const status = await runningStatus(config.dataDir);
      return evaluateRunning(status, status && (await capabilitiesOf(status.pid)));
    },
    async () => {
      const facts = await probeDatabase(config, options.migrationsDir);
      return [evaluateDatabase(facts), ...evaluateKeys(facts), ...evaluateWellKnown(facts, config)];
    },
    async () => [evaluateDenials(await probeDenials(run, begun))],
    async () => [evaluateSandboxNames(await probeSandboxNames(domainOf(config)))],
    async () =>
      evaluateHttps({
        authority: config.tls ? undefined : await readAuthority(config.dataDir).catch(() => undefined),
        systemRoots: await readSystemRoots(),
        now: Date.now(),
      }),
    async () =>
      evaluateInternet(await probeInternet(wayTo(config.debianMirror ?? DEFAULT_MIRROR, process.env))),
  ];
  const results: CheckResult[] = [];
  for (const check of checks) {
    for (const result of await check()) {
      results.push(result);
      onResult(result);
    }
  }
  return results;
}

async function capabilitiesOf(pid: number): Promise<bigint | undefined> {
  const status = await readOptional(`/proc/${pid}/status`);
  return status === undefined ? undefined : parseStatus(status).effective;
}

const DEFAULT_MIRROR = 'http://deb.debian.org/';
const IP_FORWARD = '/proc/sys/net/ipv4/ip_forward';

async function probeForwarding() {
  const value = await readOptional(IP_FORWARD);
  const writable = await access(IP_FORWARD, constants.W_OK).then(
    () => true,
    () => false,
  );
  return { value, writable };
}
