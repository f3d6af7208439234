import { join } from 'node:path';
import type { Sandbox } from '@islet/contracts';
import type { SandboxDriver } from '@islet/driver';
import type { Exec } from '@islet/host';
import {
  CachedSnapshots,
  DirectorySnapshots,
  type ObjectSource,
  type ObjectStore,
  SharedStates,
} from '@islet/snapshots';
import type { Logger } from '@islet/telemetry';
import { Exchange } from '../../src/exchange/exchange.ts';
import type { PeerNode } from '../../src/exchange/peer-objects.ts';
import { needsOf } from '../../src/machine/needs.ts';
import type { SandboxNetwork, SandboxVolumes } from '../../src/machine/ports.ts';
import { Journals } from '../../src/past/journals.ts';
import { RootFileSystems } from '../../src/roots/root-file-systems.ts';
import { adoptSandboxes, heldSlots } from '../../src/sandbox/adoption.ts';
import { RecordStore } from '../../src/sandbox/record.ts';
import { Sandboxes } from '../../src/sandbox/sandboxes.ts';
import { TemplateStore } from '../../src/templates/store.ts';
import { removeUnreferenced } from '../../src/templates/unreferenced.ts';
import { upgradeFromVersion2 } from '../../src/upgrade/version-2.ts';
import { type DriverKind, simulatedDriver } from './driver.ts';
import type { SimulatedHost } from './host.ts';
import { type FaultPlan, NodeProcess } from './process.ts';

export const GUEST_DIGEST = 'simulated';
export const PROCESSOR = { architecture: 'simulated', features: [] };
export const BUILD = { templateId: 'base', buildId: 'base-1' };

/** What nodes get from each other. */
export interface Neighbourhood {
  /** Undefined: they share none. */
  store: ObjectStore | undefined;
  connect: (peer: PeerNode) => ObjectSource;
  exec: Exec;
}

export interface NodeOptions {
  host: SimulatedHost;
  dataDir: string;
  kind: DriverKind;
  plan: FaultPlan;
  warmAtMost: number;
  placesAtMost: number;
  /** Undefined: it is alone. */
  neighbourhood?: Neighbourhood | undefined;
  logger: Logger;
}

/** One process of a node on a simulated host: put together as `startOrchestrator` does. */
export class SimulatedNode {
  readonly process: NodeProcess;
  readonly driver: SandboxDriver;
  readonly sandboxes: Sandboxes;
  readonly templates: TemplateStore;
  readonly snapshots: CachedSnapshots;
  readonly roots: RootFileSystems;
  readonly exchange: Exchange | undefined;
  /** What its watchers were told of: what is there now, by id. */
  readonly told: Map<string, Sandbox>;
  readonly #host: SimulatedHost;
  readonly #lives: AbortController;

  private constructor(parts: {
    process: NodeProcess;
    driver: SandboxDriver;
    sandboxes: Sandboxes;
    templates: TemplateStore;
    snapshots: CachedSnapshots;
    roots: RootFileSystems;
    exchange: Exchange | undefined;
    host: SimulatedHost;
    lives: AbortController;
  }) {
    const { process, driver, sandboxes, templates, snapshots, roots, exchange, host, lives } = parts;
    this.process = process;
    this.driver = driver;
    this.sandboxes = sandboxes;
    this.templates = templates;
    this.snapshots = snapshots;
    this.roots = roots;
    this.exchange = exchange;
    this.#host = host;
    this.#lives = lives;
    this.told = new Map(sandboxes.list().map((sandbox) => [idOf(sandbox), sandbox]));
    sandboxes.events.listen((event) => this.#hear(event.kind, event.sandbox));
  }

  /** Undefined: the process was killed on the way. @throws what kept it from starting; its process is dead then */
  static start(options: NodeOptions): Promise<SimulatedNode | undefined> {
    const { host, plan } = options;
    const process = new NodeProcess(plan, (machineId) => host.end(machineId));
    const starting = process
      .run(() => open(options, process))
      .catch((error: unknown) => {
        process.kill();
        throw error;
      });
    return Promise.race([starting, process.death.then(() => undefined)]).finally(() => {
      if (!process.isAlive) host.cutConnections();
    });

    async function open(
      { dataDir, kind, warmAtMost, placesAtMost, neighbourhood, logger }: NodeOptions,
      process: NodeProcess,
    ): Promise<SimulatedNode> {
      const local = await DirectorySnapshots.open(join(dataDir, 'states'));
      const snapshots = new CachedSnapshots(
        local,
        neighbourhood?.store && new SharedStates(neighbourhood.store),
      );
      const roots = await RootFileSystems.open(join(dataDir, 'roots'));
      const templatesDir = join(dataDir, 'templates');
      const records = new RecordStore(join(dataDir, 'sandboxes'));
      await upgradeFromVersion2({ templatesDir, sandboxesDir: records.root, snapshots, roots, logger });
      const machinesDir = join(dataDir, 'machines');
      const found = await records.readAll();
      const network = simulatedNetwork(
        host,
        process,
        new Set(heldSlots(found, []).map(({ index }) => index)),
      );
      const volumes = simulatedVolumes(host, process);
      const driver = simulatedDriver(host, process, kind);
      const now = Date.now;
      const adopted = await adoptSandboxes(found, {
        ...{ driver, buildDriver: driver, network, records, machinesDir, now, logger },
        ...{ snapshots, processor: PROCESSOR },
      });
      const machineIds = new Set(adopted.map(({ run }) => run?.machine.id));
      for (const id of [...host.mounts.keys()].filter((id) => !machineIds.has(id))) host.unmount(id);
      host.held.clear();
      const runtime = { name: driver.name, digest: driver.runtimeDigest };
      const templates = await TemplateStore.open({
        ...{ dir: templatesDir, snapshots, now },
        host: { runtime, processor: PROCESSOR, guestDigest: GUEST_DIGEST },
      });
      await removeUnreferenced(snapshots, templates.list(), adopted);
      const exchange =
        neighbourhood &&
        (await Exchange.open({
          ...{ ...neighbourhood, snapshots, local, roots, logger },
          ...{ guestsDir: join(dataDir, 'guest'), dir: join(dataDir, 'exchange') },
        }));
      const sandboxes = new Sandboxes(
        {
          ...{ driver, network, volumes, templates, snapshots, records, machinesDir, now, logger },
          processor: PROCESSOR,
          guestDigest: GUEST_DIGEST,
          dns: [],
          guestDirOf: (digest) => `/guest/${digest}`,
          rootfsDirOf: (digest) => `/rootfs/${digest}`,
          newMachineId: () => host.newMachineId(),
          warmAtMost,
          placesAtMost,
          freezeAfterMs: undefined,
          exchange,
          durablePause: false,
          nodeId: 'simulated',
          egressAuthority: 'the authority',
          startsAtOnce: 2,
        },
        adopted,
      );
      const lives = new AbortController();
      const journals = new Journals({ logs: { record: () => undefined }, now, logger });
      void journals.follow(sandboxes.list(), sandboxes.events.subscribe(lives.signal));
      return new SimulatedNode({
        ...{ process, driver, sandboxes, templates, snapshots, roots, exchange, host, lives },
      });
    }
  }

  /** Asks something of its sandboxes. Undefined: the process was killed before it answered. */
  ask<T>(question: (sandboxes: Sandboxes) => Promise<T>): Promise<{ answer: T } | undefined> {
    const asked = this.process.run(() => question(this.sandboxes)).then((answer) => ({ answer }));
    asked.catch(() => undefined);
    return Promise.race([asked, this.process.death.then(() => undefined)]);
  }

  /** SIGKILL. */
  kill(): void {
    this.process.kill();
    void this.exchange?.[Symbol.asyncDispose]();
    this.#lives.abort();
    this.#host.cutConnections();
  }

  /** Ends it in order. Paused sandboxes stay. */
  async close(): Promise<void> {
    await this.ask((sandboxes) => sandboxes.close());
    await this.exchange?.[Symbol.asyncDispose]();
    this.#lives.abort();
  }

  /** Makes a build that sandboxes start from. */
  async seal({ templateId, buildId }: typeof BUILD, rootfs = 'simulated'): Promise<void> {
    const { driver, templates } = this;
    const stage = await this.snapshots.stage();
    await this.#host.saveBlank(stage);
    await templates.put(stage, {
      ...{ templateId, buildId },
      needs: needsOf({ rootfs, guest: GUEST_DIGEST }, { driver, processor: PROCESSOR }),
      ...{ cpuCount: 1, memoryMb: 128, diskSizeMb: 512, diskUsedMb: 1 },
      ...{ defaultUser: 'user', defaultWorkdir: '', envdVersion: '0.0.0' },
    });
  }

  #hear(kind: 'changed' | 'ended', sandbox: Sandbox): void {
    if (!this.process.isAlive) return;
    const id = idOf(sandbox);
    const before = this.told.get(id);
    if (before && kind === 'changed' && sandbox.revision <= before.revision) {
      this.#host.violations.push(`sandbox ${id} was told of twice in revision ${sandbox.revision}`);
    }
    if (kind === 'changed') this.told.set(id, sandbox);
    else this.told.delete(id);
  }
}

export function idOf({ config }: Sandbox): string {
  return config.sandboxId;
}

/** Gives up all slots that no sandbox of an earlier process holds, as a network pool does when it is opened. */
function simulatedNetwork(
  host: SimulatedHost,
  process: NodeProcess,
  held: ReadonlySet<number>,
): SandboxNetwork {
  for (const index of [...host.slots.keys()].filter((index) => !held.has(index))) host.slots.delete(index);
  for (const index of held) if (!host.slots.has(index)) host.addSlot(index);
  return {
    slot: (index) => host.slotAt(index),
    take: () => process.step('network.take', () => host.takeSlot()),
    discard: (slot) => process.isAlive && host.giveUpSlot(slot),
    setEgress: ({ index }, { config, executionId }) =>
      process.step('network.setEgress', () => {
        const slot = host.slots.get(index);
        if (slot) slot.rules = { denyOut: config.egress?.denyOut ?? [], executionId };
        else host.violations.push(`rules for slot ${index}, which was given up`);
      }),
  };
}

function simulatedVolumes(host: SimulatedHost, process: NodeProcess): SandboxVolumes {
  return {
    prepare: (id) => process.step('volumes.prepare', () => host.mount(id, [])),
    machineDir: (id) => `/volumes/${id}`,
    attach: ({ id }, volumeIds) => process.step('volumes.attach', () => host.mount(id, volumeIds)),
    detach: (id) => process.step('volumes.detach', () => host.unmount(id)),
    targetOf: () => undefined,
    async whileQuiet(id, save) {
      host.held.add(id);
      try {
        return await save();
      } finally {
        if (process.isAlive) host.held.delete(id);
      }
    },
  };
}
