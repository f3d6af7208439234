import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Api, createApi } from '../../packages/api/src/index.ts';
import { onlyNode } from '../../packages/api/test/simulated-link.ts';
import { SimulatedNode } from '../../packages/api/test/simulated-node.ts';
import { createDirectoryArtifacts, UploadSignatures } from '../../packages/artifacts/src/index.ts';
import { createMemoryReservations, createMemoryRoutes } from '../../packages/catalog/src/index.ts';
import {
  addWellKnownCredentials,
  LOCAL_DEV,
  MIGRATIONS_DIR,
  migrate,
  openDatabase,
  registerTemplateBuild,
  seed,
} from '../../packages/db/src/index.ts';
import { createLogger } from '../../packages/telemetry/src/index.ts';
import { fixedMasterKeys, newMasterKey } from '../../packages/vault/src/index.ts';
import type { FuzzTarget } from '../target.ts';

const CLUSTER_ARCHIVE = resolve(import.meta.dirname, '../../dist/cluster.tar.gz');
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'] as const;
const [TEMPLATE, BUILD] = ['tmpl0000000000000000', '00000000-0000-4000-8000-00000000b001'];
/** Requests until the service is made anew: what they made would fill the team's quotas. */
const LIFE = 1_000;

/**
 * A method, a blank and a path; behind the line's end the body. `$SANDBOX`, `$TEMPLATE` and `$BUILD` in a path stand for ids that are there.
 */
export const target: FuzzTarget = {
  description:
    'any request of a client with a key to the API, on a real database and a node that runs nothing',
  // Longer than the longest body of most routes.
  maxBytes: 70_000,
  // A database is opened now and then.
  hangS: 240,
  maxAllocationBytes: 2 ** 31,
  async run(input) {
    clearTimeout(idle);
    try {
      if (service === undefined || service.left === 0) service = await renewed(service);
      service.left--;
      await service.ask(input.toString('utf8'));
    } finally {
      idle = setTimeout(letGo, IDLE_MS);
    }
  },
};

/** Nobody says when the last input was read, and what is open keeps a process from ending. */
const IDLE_MS = 3_000;
let idle: NodeJS.Timeout | undefined;

function letGo(): void {
  const open = service;
  service = undefined;
  void open?.close();
}

interface Service {
  left: number;
  ask(text: string): Promise<void>;
  close(): Promise<void>;
}

let service: Service | undefined;

async function renewed(before: Service | undefined): Promise<Service> {
  await before?.close();
  const dir = await mkdtemp(join(tmpdir(), 'islet-fuzz-'));
  const db = await openDatabase({
    ...{ dataDir: join(dir, 'db'), migrationsDir: MIGRATIONS_DIR, clusterArchive: CLUSTER_ARCHIVE },
  });
  await migrate(db);
  await seed(db);
  await addWellKnownCredentials(db);
  const built = { templateId: TEMPLATE, buildId: BUILD, teamId: LOCAL_DEV.teamId, alias: 'base' };
  const size = { cpuCount: 2, memoryMb: 512, freeDiskMb: 512, diskSizeMb: 1500 };
  const image = { envdVersion: '0.6.13', defaultUser: 'user', defaultWorkdir: '' };
  await registerTemplateBuild(db, { ...built, namespace: null, public: true, ...size, ...image });
  const node = new SimulatedNode();
  const failures: unknown[] = [];
  const logger = Object.assign(createLogger({ service: 'api', level: 'silent' }), {
    error: ({ err }: { err: unknown }) => failures.push(err),
  });
  const api = await createApi({
    ...{ db, logger, routes: createMemoryRoutes(Date.now), tokenSeed: 'seed', domain: 'localhost:3002' },
    masterKeys: fixedMasterKeys([newMasterKey()]),
    issuer: () => 'https://islet.example',
    reservations: createMemoryReservations(() => performance.now()),
    discovery: onlyNode(node),
    artifacts: createDirectoryArtifacts({ directory: dir, signatures: new UploadSignatures('seed') }),
  });
  await api.app.ready();
  return {
    left: LIFE,
    async ask(text) {
      failures.length = 0;
      const { status, body } = await answerOf(api, node, text);
      if (!body.includes('Internal server error')) return;
      throw new Error(`a client's request is answered ${status}`, { cause: failures.at(-1) });
    },
    async close() {
      await api.app.close();
      node.close();
      await db.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function answerOf({ app }: Api, node: SimulatedNode, text: string) {
  const end = text.indexOf('\n');
  const line = end === -1 ? text : text.slice(0, end);
  const [word = '', written = ''] = line.split(' ');
  const method = METHODS.find((each) => each === word) ?? 'GET';
  const [sandbox = 'none'] = node.sandboxes.keys();
  const url = written
    .replaceAll('$SANDBOX', sandbox)
    .replaceAll('$TEMPLATE', TEMPLATE)
    .replaceAll('$BUILD', BUILD);
  // Node's parser lets no other bytes through.
  const path = `/${url.replace(/^\/+/, '')}`.replace(/[^\x21-\x7e]/gu, encodeURIComponent);
  const payload = end === -1 ? undefined : text.slice(end + 1);
  const { statusCode: status, body } = await app.inject({
    ...{ method, url: path, ...(payload === undefined ? {} : { payload }) },
    headers: {
      ...{ host: 'localhost:3000', 'x-api-key': LOCAL_DEV.apiKey, 'content-type': 'application/json' },
      authorization: `Bearer ${LOCAL_DEV.accessToken}`,
    },
  });
  return { status, body };
}
