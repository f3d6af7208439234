import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ArchiveInspector, createDirectoryArtifacts, UploadSignatures } from '@islet/artifacts';
import { createMemoryReservations, createMemoryRoutes, type Routes, type Wake } from '@islet/catalog';
import { newTemplateId } from '@islet/contracts';
import {
  addWellKnownCredentials,
  BASE_TIER,
  createApiKey,
  createTeam,
  type Database,
  type FinishedBuild,
  findTemplate,
  LOCAL_DEV,
  MIGRATIONS_DIR,
  migrate,
  openDatabase,
  registerTemplateBuild,
  seed,
} from '@islet/db';
import { createLogger } from '@islet/telemetry';
import { fixedMasterKeys, parseMasterKeys } from '@islet/vault';
import { expect } from 'vitest';
import { bundleInspector } from '../../artifacts/bundle.mjs';
import { type Api, type ApiDeps, createApi, type NodeLink } from '../src/index.ts';
import { KnownSandboxes } from '../src/sandboxes/known-sandboxes.ts';
import { readDescription } from './description.ts';
import { onlyNode } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';
import { SimulatedTemplateManager } from './simulated-template-manager.ts';

export const ADMIN_TOKEN = 'admin-secret';
export const TOKEN_SEED = 'seed';
/** The same for all APIs of a database. */
export const MASTER_KEYS = fixedMasterKeys(parseMasterKeys('0a'.repeat(32)) ?? []);

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into JSON of every shape
  body: any;
}

export interface RequestOptions {
  /** An API key; null sends none. */
  key?: string | null;
  body?: unknown;
  /** Sent as it is, in place of `body`. */
  raw?: string;
  headers?: Record<string, string>;
}

/** An API on a port of its own, over a real database and a simulated node. */
export interface Harness {
  url: string;
  db: Database;
  node: SimulatedNode;
  templateManager: SimulatedTemplateManager;
  routes: Routes;
  sandboxes: KnownSandboxes;
  wake: Wake;
  nodesBuilds: Api['nodesBuilds'];
  /** Tells the API what happened to sandboxes, as nodes do. */
  hear: Api['hear'];
  /** A request from another address than this machine's, without a connection. */
  inject: Api['app']['inject'];
  baseTemplateId: string;
  call(method: string, path: string, options?: RequestOptions): Promise<Answer>;
  /** A new team with a key. */
  team(name: string): Promise<{ id: string; slug: string; key: string }>;
  /** A new template of a team. */
  template(build: Partial<FinishedBuild>): Promise<FinishedBuild>;
  close(): Promise<void>;
}

/** Saves each test file three seconds where Islet has been built. */
const CLUSTER_ARCHIVE = resolve(import.meta.dirname, '../../../dist/cluster.tar.gz');

/** A migrated and seeded PGlite in a temporary directory. */
export async function openTestDatabase(): Promise<{ db: Database; remove(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'islet-api-'));
  const db = await openDatabase({
    dataDir: join(directory, 'db'),
    migrationsDir: MIGRATIONS_DIR,
    clusterArchive: CLUSTER_ARCHIVE,
  });
  await migrate(db);
  await seed(db);
  await addWellKnownCredentials(db);
  return {
    db,
    async remove() {
      await db.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export interface HarnessOptions extends Partial<ApiDeps> {
  /** Ways to the simulated node that are not the usual ones. */
  link?: Partial<NodeLink>;
}

/** Starts an API. A database that is passed in is left open at the end. */
export async function startHarness({ link = {}, ...overrides }: HarnessOptions = {}): Promise<Harness> {
  const own = overrides.db ? undefined : await openTestDatabase();
  const db = overrides.db ?? own?.db;
  if (!db) throw new Error('no database');
  const node = new SimulatedNode();
  const templateManager = new SimulatedTemplateManager();
  const routes = overrides.routes ?? createMemoryRoutes(Date.now);
  const sandboxes = new KnownSandboxes();
  const artifactsDir = await mkdtemp(join(tmpdir(), 'islet-artifacts-'));
  const signatures = new UploadSignatures(TOKEN_SEED);
  const program = join(artifactsDir, 'inspector.mjs');
  await bundleInspector(program);
  const inspector = new ArchiveInspector({ program, atOnce: 2, limitMs: 60_000 });
  const { app, wake, hear, nodesBuilds } = await createApi({
    db,
    routes,
    sandboxes,
    reservations: createMemoryReservations(() => performance.now()),
    discovery: onlyNode(node, { templates: templateManager.client(), ...link }),
    artifacts: createDirectoryArtifacts({ directory: join(artifactsDir, 'store'), signatures }),
    uploads: { signatures, inspector },
    tokenSeed: TOKEN_SEED,
    masterKeys: MASTER_KEYS,
    issuer: () => 'https://islet.example',
    domain: 'islet.localhost:3002',
    logger: createLogger({ service: 'api', level: 'silent' }),
    adminToken: ADMIN_TOKEN,
    ...overrides,
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const description = await readDescription(`${url}/openapi.json`);

  const template = async (over: Partial<FinishedBuild>): Promise<FinishedBuild> => {
    const build: FinishedBuild = {
      templateId: newTemplateId(),
      buildId: crypto.randomUUID(),
      teamId: LOCAL_DEV.teamId,
      alias: `t-${newTemplateId()}`,
      namespace: LOCAL_DEV.teamSlug,
      public: false,
      cpuCount: 2,
      memoryMb: 512,
      freeDiskMb: 512,
      diskSizeMb: 1500,
      envdVersion: '0.6.13',
      defaultUser: 'user',
      defaultWorkdir: '',
      ...over,
    };
    await registerTemplateBuild(db, build);
    return build;
  };
  const known = await findTemplate(db, { name: 'base' }, LOCAL_DEV.teamSlug);
  const baseTemplateId =
    known?.id ?? (await template({ alias: 'base', namespace: null, public: true })).templateId;

  return {
    url,
    db,
    node,
    templateManager,
    routes,
    sandboxes,
    wake,
    nodesBuilds,
    hear,
    inject: app.inject.bind(app) as Api['app']['inject'],
    baseTemplateId,
    template,
    async call(method, path, { key = LOCAL_DEV.apiKey, body, raw, headers = {} } = {}) {
      const hasBody = body !== undefined || raw !== undefined;
      const response = await fetch(url + path, {
        method,
        headers: {
          ...(key !== null && { 'X-API-KEY': key }),
          ...(hasBody && { 'Content-Type': 'application/json' }),
          ...headers,
        },
        ...(hasBody && { body: raw ?? JSON.stringify(body) }),
      });
      const text = await response.text();
      const json = response.headers.get('content-type')?.includes('json');
      const answer = {
        status: response.status,
        headers: response.headers,
        body: json ? JSON.parse(text) : text,
      };
      expect(description.defects(method, path, answer.status, answer.body)).toEqual([]);
      return answer;
    },
    async team(name) {
      const team = await createTeam(db, { name, email: `${name}@example.org`, tier: BASE_TIER.id });
      const { key } = await createApiKey(db, { teamId: team.id, name: 'test' });
      return { ...team, key };
    },
    async close() {
      await app.close();
      node.close();
      await own?.remove();
      await rm(artifactsDir, { recursive: true, force: true });
    },
  };
}
