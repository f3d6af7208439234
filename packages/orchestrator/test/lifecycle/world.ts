import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { orchestratorProto } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { type Lasting, problemsOf } from './checks.ts';
import type { DriverKind } from './driver.ts';
import type { Manner } from './guest.ts';
import { SimulatedHost } from './host.ts';
import { decide, type Modelled, observe } from './modelled.ts';
import { BUILD, type Neighbourhood, SimulatedNode } from './node.ts';
import type { FaultPlan } from './process.ts';

/** How long what a node does behind its answers may take on a busy machine, ms. */
const SETTLE_MS = 60_000;

/** In memory, if there is such a file system: records of paused sandboxes wait for the disk. */
const SCRATCH = isThere('/dev/shm') ? '/dev/shm' : tmpdir();

export const VOLUME = 'volume-1';

export interface WorldOptions {
  kind?: DriverKind;
  plan?: FaultPlan;
  manner?: (path: string) => Manner;
  warmAtMost?: number;
  placesAtMost?: number;
  neighbourhood?: Neighbourhood;
}

interface SettleOptions {
  /** What something that failed leaves to the next node. */
  lasting?: () => Lasting;
  /** Looks at what is on disk, too. */
  onDisk?: boolean;
}

/** A host, what is on its disk, and the node that runs on it now. */
export class World implements AsyncDisposable {
  readonly host: SimulatedHost;
  readonly dataDir: string;
  /** What must not be there, if it is: a node's last errors say more. */
  readonly errors: string[] = [];
  node: SimulatedNode;
  /** Kept ready at most, machines and places. */
  readonly spare: number;
  readonly #options: WorldOptions;

  private constructor(host: SimulatedHost, dataDir: string, node: SimulatedNode, options: WorldOptions) {
    this.host = host;
    this.dataDir = dataDir;
    this.node = node;
    this.#options = options;
    this.spare = (options.warmAtMost ?? 0) + (options.placesAtMost ?? 0);
  }

  /** With a node that has one build, which nothing disturbed. */
  static async open(options: WorldOptions = {}): Promise<World> {
    const host = await SimulatedHost.open(options.manner);
    host.volumes.add(VOLUME);
    const dataDir = mkdtempSync(join(SCRATCH, 'islet-lifecycle-'));
    const errors: string[] = [];
    const node = await startNode(host, dataDir, { ...options, plan: () => undefined }, errors);
    if (!node) throw new Error('nobody kills the first node');
    await node.seal(BUILD);
    const world = new World(host, dataDir, node, options);
    await node.close();
    await world.start();
    return world;
  }

  /** Starts the next node; once more, undisturbed, if it is killed or fails meanwhile. */
  async start(): Promise<void> {
    const { host, dataDir, errors } = this;
    const node = await startNode(host, dataDir, this.#options, errors).catch(() => undefined);
    const again = { ...this.#options, plan: () => undefined };
    const started = node ?? (await startNode(host, dataDir, again, errors));
    if (!started) throw new Error('nobody kills a node that is not disturbed');
    this.node = started;
    if (this.spare > 0) started.process.run(() => started.sandboxes.keepWarm(BUILD.buildId));
  }

  /** SIGKILL, and the next node. */
  async restart(): Promise<void> {
    this.node.kill();
    await this.node.process.quiet();
    await this.start();
  }

  /**
   * Waits until each sandbox is in a state that it may be in, all about it is as that says, and nothing is there that belongs
   * to nobody. From then on it may be in no other. @throws Error with what is not so
   */
  async settle(
    models: Map<string, Modelled>,
    { lasting = () => 'nothing' as const, onDisk = true }: SettleOptions = {},
  ): Promise<void> {
    const deadline = performance.now() + SETTLE_MS;
    for (let waitMs = 0; ; waitMs = Math.min(20, waitMs + 1)) {
      if (!this.node.process.isAlive) await this.restart();
      const found = observe(this.node.sandboxes.list(), models);
      const problems = Array.isArray(found) ? found : problemsOf(this, found, lasting(), onDisk);
      if (problems.length === 0 && !Array.isArray(found)) return decide(models, found);
      if (this.host.violations.length > 0 || performance.now() > deadline) {
        throw new Error([...problems, ...this.errors.slice(-20)].join('\n'));
      }
      await sleep(waitMs);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.node.kill();
    await this.node.process.quiet();
    this.host.close();
    rmSync(this.dataDir, { recursive: true });
  }
}

async function startNode(
  host: SimulatedHost,
  dataDir: string,
  { kind = 'gvisor', plan = () => undefined, warmAtMost = 0, placesAtMost = 0, neighbourhood }: WorldOptions,
  errors: string[],
): Promise<SimulatedNode | undefined> {
  const destination = { write: (line: string) => void errors.push(line) };
  const logger = createLogger({ service: 'lifecycle', level: 'warn', destination });
  return SimulatedNode.start({
    ...{ host, dataDir, kind, plan, warmAtMost, placesAtMost, neighbourhood, logger },
  });
}

export interface SandboxChoices {
  buildId?: string;
  autoPause?: boolean;
  withVolume?: boolean;
}

export function configOf(
  sandboxId: string,
  { buildId = BUILD.buildId, autoPause = false, withVolume = false }: SandboxChoices = {},
): orchestratorProto.SandboxConfig {
  return create(orchestratorProto.SandboxConfigSchema, {
    ...{ sandboxId, buildId, templateId: BUILD.templateId, teamId: 'team', envdVersion: '0.0.0' },
    ...{ cpuCount: 1, memoryMb: 128, diskSizeMb: 512, defaultUser: 'user' },
    envdAccessToken: `token-of-${sandboxId}`,
    ...{ autoPause, autoPauseMemory: true, maxLengthMs: 24 * 3_600_000 },
    egress: { allowOut: [], denyOut: ['192.0.2.0/24'] },
    volumeMounts: withVolume ? [{ volumeId: VOLUME, name: 'shared', path: '/shared' }] : [],
  });
}

function isThere(dir: string): boolean {
  try {
    return statfsSync(dir).bavail > 0;
  } catch {
    return false;
  }
}
