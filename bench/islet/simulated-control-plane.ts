import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { create } from '@bufbuild/protobuf';
import { createApi, fixedNodes } from '@islet/api';
import { createDirectoryArtifacts, UploadSignatures } from '@islet/artifacts';
import {
  createMemoryReservations,
  createMemoryRoutes,
  type Reservations,
  type Routes,
  type StoreContents,
} from '@islet/catalog';
import { newSandboxId, newTemplateId, orchestratorProto } from '@islet/contracts';
import {
  addWellKnownCredentials,
  LOCAL_DEV,
  MIGRATIONS_DIR,
  migrate,
  openDatabase,
  registerTemplateBuild,
  seed,
} from '@islet/db';
import { createLogger } from '@islet/telemetry';
import { fixedMasterKeys, newMasterKey } from '@islet/vault';
import { simulatedLink } from '../../packages/api/test/simulated-link.ts';
import { SimulatedNode } from '../../packages/api/test/simulated-node.ts';

const DAY_MS = 86_400_000;

/** Where it keeps what is live. */
export interface LiveParts {
  routes: Routes;
  reservations: Reservations;
  contents?: StoreContents;
}

function inMemory(): LiveParts {
  return {
    routes: createMemoryRoutes(Date.now),
    reservations: createMemoryReservations(() => performance.now()),
  };
}

interface Opened {
  url: string;
  anyId: string;
  heldBytes: number;
  routes: Routes;
}

/** Of a node, so that no create is refused. */
const ROOM = { cpuCount: 1_024, memoryMb: 4_194_304 };

/** What is reachable. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

/** The API over a real database and a node that runs nothing but knows many sandboxes. */
export class ControlPlaneUnderTest implements AsyncDisposable {
  readonly #url: string;
  readonly #close: () => Promise<void>;
  /** One of the sandboxes. */
  readonly anyId: string;
  /** What the API holds on the heap when it has heard of all, with its routes if these are in memory. */
  readonly heldBytes: number;
  readonly routes: Routes;

  private constructor({ url, anyId, heldBytes, routes }: Opened, close: () => Promise<void>) {
    this.#url = url;
    this.anyId = anyId;
    this.heldBytes = heldBytes;
    this.routes = routes;
    this.#close = close;
  }

  /**
   * @param known sandboxes, spread evenly
   * @param nodeCount each with room for many more
   */
  static async open(
    known: number,
    live: LiveParts = inMemory(),
    nodeCount = 1,
  ): Promise<ControlPlaneUnderTest> {
    const directory = await mkdtemp(join(tmpdir(), 'islet-bench-api-'));
    const db = await openDatabase({ dataDir: join(directory, 'db'), migrationsDir: MIGRATIONS_DIR });
    await migrate(db);
    await seed(db, { limits: { concurrentInstances: 1_000_000 } });
    await addWellKnownCredentials(db);
    const build = {
      templateId: newTemplateId(),
      buildId: crypto.randomUUID(),
      teamId: LOCAL_DEV.teamId,
      alias: 'base',
      namespace: null,
      public: true,
      cpuCount: 2,
      memoryMb: 512,
      freeDiskMb: 512,
      diskSizeMb: 1500,
      envdVersion: '0.6.13',
      defaultUser: 'user',
      defaultWorkdir: '',
    };
    await registerTemplateBuild(db, build);
    const nodes = Array.from({ length: nodeCount }, (_, index) => new SimulatedNode(`node-${index + 1}`));
    for (const node of nodes) Object.assign(node, ROOM);
    for (let index = 0; index < known; index++) {
      const sandbox = knownSandbox(build, index);
      nodes[index % nodeCount]?.sandboxes.set(sandbox.config?.sandboxId ?? '', sandbox);
    }
    const heapBefore = heapBytes();
    const { app } = await createApi({
      db,
      ...live,
      discovery: fixedNodes(nodes.map((node) => ({ id: node.id, labels: {}, link: simulatedLink(node) }))),
      artifacts: createDirectoryArtifacts({
        directory: join(directory, 'artifacts'),
        signatures: new UploadSignatures('bench'),
      }),
      tokenSeed: 'bench',
      masterKeys: fixedMasterKeys([newMasterKey()]),
      issuer: () => 'https://islet.example',
      domain: 'localhost:3002',
      logger: createLogger({ service: 'api', level: 'silent' }),
    });
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    const [anyId = ''] = nodes[0]?.sandboxes.keys() ?? [];
    const heldBytes = heapBytes() - heapBefore;
    return new ControlPlaneUnderTest({ url, anyId, heldBytes, routes: live.routes }, async () => {
      await app.close();
      for (const node of nodes) node.close();
      await db.close();
      await rm(directory, { recursive: true, force: true });
    });
  }

  /** A page of `rows`, so that both sizes answer with as much. */
  async list(rows: number): Promise<void> {
    await this.#call('GET', `/v2/sandboxes?limit=${rows}`, 200);
  }

  async get(): Promise<void> {
    await this.#call('GET', `/sandboxes/${this.anyId}`, 200);
  }

  async create(): Promise<void> {
    await this.#call('POST', '/sandboxes', 201, { templateID: 'base', timeout: 3600 });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }

  async #call(method: string, path: string, status: number, body?: object): Promise<void> {
    const response = await fetch(this.#url + path, {
      method,
      headers: {
        'X-API-Key': LOCAL_DEV.apiKey,
        ...(body && { 'Content-Type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.status !== status) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
  }
}

function knownSandbox(
  build: { templateId: string; buildId: string },
  index: number,
): orchestratorProto.Sandbox {
  const now = Date.now();
  return create(orchestratorProto.SandboxSchema, {
    config: create(orchestratorProto.SandboxConfigSchema, {
      sandboxId: newSandboxId(),
      teamId: LOCAL_DEV.teamId,
      templateId: build.templateId,
      buildId: build.buildId,
      alias: 'base',
      envdVersion: '0.6.13',
      cpuCount: 2,
      memoryMb: 512,
      diskSizeMb: 1500,
      metadata: { index: String(index) },
      maxLengthMs: DAY_MS,
    }),
    state: orchestratorProto.SandboxState.RUNNING,
    startedAtMs: now - index,
    endAtMs: now + DAY_MS,
    executionId: crypto.randomUUID(),
    nodeId: 'node-1',
    address: '10.11.0.2',
  });
}
