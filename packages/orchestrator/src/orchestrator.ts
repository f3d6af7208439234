import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { availableParallelism, hostname, totalmem } from 'node:os';
import { join } from 'node:path';
import { createClient, type ServiceImpl, type Transport } from '@connectrpc/connect';
import { type orchestratorProto, peerProto, Undo, type volumesProto } from '@islet/contracts';
import type { DriverKind } from '@islet/driver';
import { type Credentials, EgressGateway } from '@islet/egress';
import { openHostExec, readProcessor, readProcessorFeatures } from '@islet/host';
import { claimSubnet, GUEST, NetworkPool, VOLUMES_PORT } from '@islet/network';
import { VolumeServerThread } from '@islet/nfs';
import type { LifeMemory, Sinks } from '@islet/sinks';
import { CachedSnapshots, DirectorySnapshots, type ObjectStore, SharedStates } from '@islet/snapshots';
import type { Logger } from '@islet/telemetry';
import { chooseDriver, openDrivers } from './drivers.ts';
import { SandboxEgress } from './egress/sandbox-egress.ts';
import { Exchange } from './exchange/exchange.ts';
import { peerService } from './exchange/offers.ts';
import { type PeerNode, PeerObjects } from './exchange/peer-objects.ts';
import { StoredSandboxes } from './exchange/stored.ts';
import { observedDriver } from './figures/driver.ts';
import { openNodeFigures } from './figures/node-figures.ts';
import { guestDir, installGuest, removeUnusedGuests } from './guest/guest.ts';
import { STATIC_TOOLS } from './guest/guest-files.ts';
import { Journals } from './past/journals.ts';
import { LifeNotes } from './past/life-notes.ts';
import { askEnvd, startSampler } from './past/sampler.ts';
import { type RootFileSystem, RootFileSystems } from './roots/root-file-systems.ts';
import { orchestratorService } from './rpc/service.ts';
import { adoptSandboxes, heldSlots } from './sandbox/adoption.ts';
import type { SandboxEvent } from './sandbox/events.ts';
import { RecordStore } from './sandbox/record.ts';
import { Sandboxes } from './sandbox/sandboxes.ts';
import type { TemplateBuild } from './templates/build.ts';
import { type BuildSandbox, type BuildSandboxRequest, openBuildSandbox } from './templates/build-sandbox.ts';
import { type SealRequest, type SealResult, sealTemplate } from './templates/seal.ts';
import { TemplateStore } from './templates/store.ts';
import { removeUnreferenced } from './templates/unreferenced.ts';
import { upgradeFromVersion2 } from './upgrade/version-2.ts';
import { volumesService } from './volumes/service.ts';
import { Volumes } from './volumes/volumes.ts';
import { warmCounts } from './warm/policy.ts';

/** Shared by all Islets of a host: which of them uses which addresses. */
const SUBNET_CLAIMS = '/run/islet/subnets';

export interface OrchestratorOptions {
  /** Kept over restarts: sandboxes' records and files, templates' snapshots. */
  dataDir: string;
  /** Lost at a reboot: the runtime's own state. */
  runtimeDir: string;
  /** Six hex digits that set this Islet's namespaces, interfaces and cgroups apart from another's on the host. */
  instance: string;
  /** What the build makes for the inside of sandboxes: envd and what belongs to it. */
  guestDir: string;
  /** The drivers that there are, the preferred ones first. */
  drivers: readonly DriverKind[];
  /** The name of one of them, or `auto`: the first that fits this host. */
  isolation: string;
  /** The program of the thread that serves volumes to machines that do not see them, as the build lays it out. */
  volumeServer: string;
  /** The program of the egress gateway, as the build lays it out. */
  egressGateway: string;
  /** What rules of sandboxes name: secrets, and identity tokens. */
  credentials: Credentials;
  /** The certificate by which sandboxes with rules take the gateway, PEM. */
  egressAuthority: string;
  /** Resolvers of the sandboxes, IPv4. */
  dns: readonly string[];
  version: string;
  /** Network slots kept ready. */
  slotsAhead?: number;
  /** What sandboxes kept ready may hold together, MiB; 0: none are kept. */
  warmMemoryMb: number;
  /** After which sandboxes that nobody uses are frozen, ms; undefined: none are, but those that say so themselves. */
  freezeAfterMs: number | undefined;
  /** What all nodes of the installation share; undefined: they get from each other what they lack. */
  store: ObjectStore | undefined;
  /** The way to the services of another node, for one transfer. */
  connectPeer: (peer: PeerNode) => Transport;
  /** A pause is answered when the store has the sandbox. */
  durablePause: boolean;
  /** Take what is noted of sandboxes for their owners. */
  sinks: Sinks;
  /** Remembers what was last said of each sandbox, over the node's own end. */
  memory?: LifeMemory | undefined;
  logger: Logger;
}

/** What is known of a build that is done. */
export type BuildOutcome = Pick<
  TemplateBuild,
  'cpuCount' | 'memoryMb' | 'diskSizeMb' | 'envdVersion' | 'defaultUser' | 'defaultWorkdir'
>;

/** Templates as the node runs them. */
export interface TemplateRuntime {
  /** True if the build can start here and its envd is the current one. */
  has(buildId: string): boolean;
  /** What a build comes to, if it is here or any node of the installation has made it. */
  bring(buildId: string): Promise<BuildOutcome | undefined>;
  /** Boots a root file system and takes the snapshot its sandboxes start from. */
  seal(request: SealRequest, signal?: AbortSignal): Promise<SealResult>;
  /** The root file system of a build that can start here. @throws IsletError 404, 503. */
  rootfsOf(buildId: string): RootFileSystem;
  /** Boots a sandbox on layers. @throws Error if it does not start; nothing of it is left then */
  openBuildSandbox(request: BuildSandboxRequest, signal?: AbortSignal): Promise<BuildSandbox>;
  /** Keeps sandboxes of a build ready, so that creates need not wait for a start. */
  keepWarm(buildId: string): void;
  /** Frees a build's snapshot and its sandboxes kept ready. Running and paused sandboxes need it no more. */
  remove(buildId: string): Promise<void>;
  /** Root file systems that a snapshot or a sandbox, running or paused, goes back to: these must stay. */
  rootfsDirs(): Set<string>;
}

/** A node: what runs sandboxes on this machine. */
export interface Orchestrator {
  service: ServiceImpl<typeof orchestratorProto.Orchestrator>;
  volumes: ServiceImpl<typeof volumesProto.Volumes>;
  /** What other nodes may ask. */
  peer: ServiceImpl<typeof peerProto.Peer>;
  templates: TemplateRuntime;
  /** Tells of every sandbox now and of each change from now on, within the change's own turn. Gives back the way to end it. */
  follow(listener: (event: SandboxEvent) => void): () => void;
  /** Ends every sandbox and frees everything that the node made on the host. */
  close(): Promise<void>;
  /** Traffic begins to use a run of a sandbox, or has not for a while. */
  use(executionId: string, inUse: boolean): void;
  /** For people: how slow its sandboxes are here, and why. Undefined if they are not. */
  slowness: string | undefined;
}

/**
 * Starts the node. Sandboxes that outlived an earlier process are taken over; what else it left is freed.
 * @throws Error with what is missing on the host.
 */
export async function startOrchestrator(options: OrchestratorOptions): Promise<Orchestrator> {
  const { dataDir, instance, logger, runtimeDir } = options;
  const undo = new Undo();
  try {
    const host = openHostExec();
    undo.add('the runner of commands', () => host.close());
    const { exec } = host;
    await writeFile('/proc/sys/net/ipv4/ip_forward', '1');
    const claim = await claimSubnet(instance, SUBNET_CLAIMS, exec);
    undo.add('the claim of the addresses', () => claim.release());
    const states = await DirectorySnapshots.open(join(dataDir, 'states'));
    const snapshots = new CachedSnapshots(states, options.store && new SharedStates(options.store));
    const roots = await RootFileSystems.open(join(dataDir, 'roots'));
    const processor = await readProcessorFeatures();
    const templatesDir = join(dataDir, 'templates');
    const records = new RecordStore(join(dataDir, 'sandboxes'));
    await upgradeFromVersion2({ templatesDir, sandboxesDir: records.root, snapshots: states, roots, logger });
    const found = await records.readAll();
    const chosen = await chooseDriver(options.drivers, options.isolation, { exec, logger });
    const slots = await NetworkPool.open(
      {
        instance,
        subnet: claim.subnet,
        resolvers: options.dns,
        attachment: chosen.kind.attachment,
        ahead: options.slotsAhead ?? 8,
        exec,
        logger,
      },
      heldSlots(found, options.dns),
    );
    undo.add('the network', () => slots.close());
    const network = new SandboxEgress({
      network: slots,
      startGateway: () =>
        EgressGateway.start({
          program: options.egressGateway,
          port: 0,
          nameservers: options.dns,
          onVerdicts: (batch) => {
            for (const verdict of batch) options.sinks.verdicts.record(verdict);
          },
          credentials: options.credentials,
          logger: logger.child({ component: 'egress' }),
        }),
      resolvers: options.dns,
      verdicts: options.sinks.verdicts,
      now: Date.now,
      logger,
    });
    undo.add('the gateway', () => network[Symbol.asyncDispose]());
    // Before the driver, too: its mount namespace must take part in what is mounted for machines later.
    const server =
      chosen.kind.volumes === 'served'
        ? new VolumeServerThread({
            program: options.volumeServer,
            address: GUEST.gateway,
            port: VOLUMES_PORT,
            logger,
          })
        : undefined;
    undo.add('the server of volumes', () => server?.close());
    const volumes = await Volumes.open({
      server,
      imagesDir: join(dataDir, 'volumes'),
      runtimeDir: join(runtimeDir, 'volumes'),
      exec,
      logger,
    });
    undo.add('the volumes', () => volumes.close());
    const site = { instance, runtimeDir, dataDir, exec, logger };
    const drivers = await openDrivers(options.drivers, chosen, site);
    undo.add('the drivers', () => drivers.close());
    const driver = observedDriver(drivers.sandboxes);
    const machinesDir = join(dataDir, 'machines');
    const adopted = await adoptSandboxes(found, {
      driver,
      buildDriver: drivers.builds,
      network,
      records,
      snapshots,
      processor,
      machinesDir,
      now: Date.now,
      logger,
    });
    for (const { run, sandbox } of adopted) {
      if (run) await network.adopt(network.slot(run.slotIndex), sandbox);
    }
    await volumes.adopt(
      adopted.flatMap(({ run }) =>
        run ? [{ id: run.machine.id, netns: network.slot(run.slotIndex).netns }] : [],
      ),
    );

    const guestsDir = join(dataDir, 'guest');
    const guest = await installGuest(
      { shippedDir: options.guestDir, node: process.execPath, staticTools: STATIC_TOOLS },
      guestsDir,
      exec,
    );
    const { connectPeer } = options;
    const exchange = await Exchange.open({
      ...{ store: options.store, snapshots, local: states, roots, guestsDir, exec },
      connect: (peer) => new PeerObjects(peer.name, createClient(peerProto.Peer, connectPeer(peer))),
      dir: join(dataDir, 'exchange'),
      logger: logger.child({ component: 'exchange' }),
    });
    undo.add('the exchange with other nodes', () => exchange[Symbol.asyncDispose]());
    const send = (build: TemplateBuild) => exchange.sendBuild(build, () => templates.noteStored(build));
    const templates = await TemplateStore.open({
      dir: templatesDir,
      snapshots,
      host: {
        runtime: { name: driver.name, digest: driver.runtimeDigest },
        processor,
        guestDigest: guest.digest,
      },
      now: Date.now,
      onPut: send,
    });
    await exchange.removeUnused([
      ...templates.list().map(({ needs }) => needs),
      ...adopted.map(({ base }) => base),
    ]);
    for (const build of templates.list()) if (!build.stored) send(build);
    await removeUnreferenced(snapshots, templates.list(), adopted);
    await removeUnusedGuests(
      guestsDir,
      new Set([
        ...templates.list().map(({ needs }) => needs.guest),
        ...adopted.map(({ base }) => base.guest),
        guest.digest,
      ]),
    );
    const journals = new Journals({ logs: options.sinks.logs, now: Date.now, logger });
    const sandboxes = new Sandboxes(
      {
        driver,
        network,
        volumes,
        templates,
        snapshots,
        processor,
        guestDigest: guest.digest,
        dns: options.dns,
        egressAuthority: options.egressAuthority,
        records,
        guestDirOf: (digest) => guestDir(guestsDir, digest),
        rootfsDirOf: (digest) => roots.dirOf(digest),
        machinesDir,
        newMachineId: () => `m${randomBytes(8).toString('hex')}`,
        ...warmCounts(options.warmMemoryMb),
        freezeAfterMs: options.freezeAfterMs,
        nodeId: hostname(),
        ...{ exchange, durablePause: options.durablePause },
        // With two a core a burst of twenty was done no sooner, and what was started took twice as long to its first answer.
        startsAtOnce: Math.max(2, availableParallelism()),
        logger,
        now: Date.now,
      },
      adopted,
    );
    undo.add('the sandboxes', () => sandboxes.close());
    const offers = exchange.offer({
      sandbox: (sandboxId, executionId) => sandboxes.offered(sandboxId, executionId),
      build: (buildId) => (templates.has(buildId) ? templates.get(buildId) : undefined),
    });
    undo.add('what other nodes read of this one', () => offers[Symbol.asyncDispose]());
    const sampler = startSampler({
      sandboxes: () => sandboxes.list(),
      rests: ({ executionId }) => sandboxes.rests(executionId),
      samples: options.sinks.samples,
      ask: askEnvd(driver.ownClock ? Date.now : undefined),
      now: Date.now,
      logger,
    });
    undo.add('the sampler', () => sampler.close());
    const { logs, events } = options.sinks;
    const lives = new LifeNotes(sandboxes.list(), { logs, events, memory: options.memory, now: Date.now });
    sandboxes.events.listen((event) => lives.hear(event));
    undo.add('the figures of the node', openNodeFigures({ sandboxes, network: slots }));
    const following = new AbortController();
    undo.add('the followers of sandboxes', () => following.abort());
    journals
      .follow(sandboxes.list(), sandboxes.events.subscribe(following.signal))
      .catch((error: unknown) =>
        logger.error({ err: error }, 'journals of sandboxes are not followed any more'),
      );
    const sealContext = {
      driver,
      network: slots,
      volumes,
      store: templates,
      snapshots,
      roots,
      processor,
      guest,
      machinesDir,
      dns: options.dns,
      exec,
      logger,
    };
    return {
      service: orchestratorService({
        sandboxes,
        templates,
        journals,
        lives,
        stored: options.store && new StoredSandboxes(options.store),
        egress: network,
        facts: {
          nodeId: hostname(),
          version: options.version,
          isolation: driver.name,
          runtimeDigest: driver.runtimeDigest,
          cpuCount: availableParallelism(),
          memoryTotalBytes: totalmem(),
          processor: await readProcessor(),
        },
        dataDir,
      }),
      volumes: volumesService(volumes, sandboxes),
      peer: peerService(offers),
      templates: {
        bring: async (buildId) => {
          await sandboxes.bringBuild(buildId);
          return templates.has(buildId) ? templates.get(buildId) : undefined;
        },
        has: (buildId) => templates.isCurrent(buildId) && roots.has(templates.get(buildId).needs.rootfs),
        seal: (request, signal) => sealTemplate(sealContext, request, signal),
        rootfsOf: (buildId) => {
          const { rootfs: digest } = templates.get(buildId).needs;
          return { digest, dir: roots.dirOf(digest) };
        },
        openBuildSandbox: (request, signal) =>
          openBuildSandbox({ ...sealContext, driver: drivers.builds }, request, signal),
        keepWarm: (buildId) => sandboxes.keepWarm(buildId),
        remove: (buildId) => sandboxes.dropBuild(buildId),
        rootfsDirs: () =>
          roots.dirs([
            ...templates.list().map(({ needs }) => needs.rootfs),
            ...sandboxes.bases().map(({ rootfs }) => rootfs),
          ]),
      },
      follow(listener) {
        for (const sandbox of sandboxes.list()) listener({ kind: 'changed', sandbox });
        return sandboxes.events.listen(listener);
      },
      use: (executionId, inUse) => sandboxes.use(executionId, inUse),
      slowness: chosen.found.slowness,
      close: () => undo.run(),
    };
  } catch (error) {
    throw await undo.after(error);
  }
}
