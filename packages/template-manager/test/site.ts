import { randomBytes } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import { type ArtifactStore, createDirectoryArtifacts, UploadSignatures } from '@islet/artifacts';
import { templateProto } from '@islet/contracts';
import { gvisorKind } from '@islet/driver-gvisor';
import { waitForFileLock } from '@islet/host';
import { type Orchestrator, startOrchestrator } from '@islet/orchestrator';
import { createLogger } from '@islet/telemetry';
import {
  type Builds,
  createRegistryPolicy,
  createShippedTemplates,
  createTemplateManagerService,
  openClientBuilds,
} from '../src/index.ts';
import { removeTree } from '../src/layers/remove-tree.ts';

const dist = join(dirname(fileURLToPath(import.meta.url)), '../../../dist');

export type TemplateClient = ReturnType<typeof createClient<typeof templateProto.TemplateManager>>;

/** A node with its template manager in a folder of its own, on the real runtime. Needs root and the project's build. */
export interface Site extends AsyncDisposable {
  dir: string;
  orchestrator: Orchestrator;
  builds: Builds;
  client: TemplateClient;
  baseBuildId: string;
  /** What clients uploaded. */
  uploads: ArtifactStore;
  /** Stops the template manager alone and opens it again on what it left. */
  reopenBuilds(): Promise<void>;
}

/** Longest start, ms: the first one on a machine makes the base template, and others wait for that. */
export const SITE_START_MS = 600_000;

/** Longest end, ms: each build has left some twenty thousand files. */
export const SITE_END_MS = 180_000;

export interface SiteOptions {
  /** Layers that tests of several files share; absent: the site's own. */
  cacheDir?: string;
}

export async function openSite({ cacheDir }: SiteOptions = {}): Promise<Site> {
  const dir = await mkdtemp(join(tmpdir(), 'islet-builds-'));
  const logger = createLogger({ service: 'test', level: 'error' });
  const instance = randomBytes(3).toString('hex');
  const orchestrator = await startOrchestrator({
    dataDir: dir,
    runtimeDir: join(dir, 'run'),
    instance,
    guestDir: join(dist, 'guest'),
    dns: ['1.1.1.1'],
    version: 'test',
    slotsAhead: 2,
    isolation: 'gvisor',
    volumeServer: '',
    egressGateway: '',
    credentials: {
      secret: async () => undefined,
      token: async () => undefined,
      certificate: async () => undefined,
    },
    egressAuthority: '',
    drivers: [gvisorKind({ checkpointReader: join(dist, 'islet/checkpoint-reader.mjs') })],
    warmMemoryMb: 0,
    freezeAfterMs: undefined,
    store: undefined,
    connectPeer: () => {
      throw new Error('there are no other nodes');
    },
    durablePause: false,
    sinks: {
      samples: { record() {} },
      logs: { record() {} },
      events: { record() {} },
      ...{ buildLogs: { record() {} }, verdicts: { record() {} } },
    },
    logger,
  });
  const building = {
    templatesDir: join(dist, 'templates'),
    debianMirror: undefined,
    runtime: orchestrator.templates,
    // Of all processes: several files of tests may want the base template at once where nobody has made it yet.
    lock: waitForFileLock,
    logger,
  };
  // The base template takes a minute to make: the machine's own cache is used if it has one.
  const shipped = createShippedTemplates({ ...building, cacheDir: '/var/cache/islet' });
  const base = await shipped.spec('base');
  const { buildId } = base;
  await shipped.build('base', base, () => {}, new AbortController().signal);
  const uploads = createDirectoryArtifacts({
    directory: join(dir, 'uploads'),
    signatures: new UploadSignatures('unused'),
  });
  const open = () =>
    openClientBuilds({
      ...building,
      dataDir: dir,
      runtimeDir: join(dir, 'run'),
      instance,
      cacheDir: cacheDir ?? join(dir, 'cache'),
      files: uploads,
      registries: {
        policy: createRegistryPolicy({ allow: [], ownNetworks: true }),
        proxyFor: () => undefined,
      },
      baseBuildId: async () => buildId,
      atOnce: 2,
      layerCacheBytes: 10 * 1024 ** 3,
      onLog: () => undefined,
      now: Date.now,
    });
  let builds = await open();
  let client = clientOf(builds);
  return {
    dir,
    orchestrator,
    get builds() {
      return builds;
    },
    get client() {
      return client;
    },
    baseBuildId: buildId,
    uploads,
    async reopenBuilds() {
      await builds.close();
      builds = await open();
      await builds.resume();
      client = clientOf(builds);
    },
    async [Symbol.asyncDispose]() {
      await builds.close();
      await orchestrator.close();
      await removeTree(dir);
    },
  };

  function clientOf(builds: Builds): TemplateClient {
    return createClient(
      templateProto.TemplateManager,
      createRouterTransport((router) =>
        router.service(templateProto.TemplateManager, createTemplateManagerService(builds)),
      ),
    );
  }
}
