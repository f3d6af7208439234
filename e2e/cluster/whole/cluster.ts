import { copyFile, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type PostgresCluster, startPostgres } from '@islet/db/test-server';
import { TestServer } from '@islet/redis/test-server';
import { runIslet } from '../../setup/command.ts';
import { Processes } from '../../setup/processes.ts';
import { SmallDisk } from './disk.ts';
import { leftOf, newRun, powerOff, removeLeftovers, removeRun, runDir } from './leftovers.ts';
import { MachineNetwork } from './network.ts';
import { bucketStore, type ClusterStore, directoryStore, type StoreKind } from './store.ts';

export const APIS = ['api-1', 'api-2'] as const;
export const EDGES = ['edge-1', 'edge-2'] as const;
export const NODES = ['one', 'two', 'three'] as const;
export const SERVERS = ['redis', 'postgres', 'bucket'] as const;
/** The node whose disk is small. */
export const SMALL: NodeName = 'three';

export type NodeName = (typeof NODES)[number];
/** Processes of Islet. */
export type Part = (typeof APIS)[number] | (typeof EDGES)[number] | NodeName;
export type Server = (typeof SERVERS)[number];
export type Machine = Part | Server;

export const PARTS: readonly Part[] = [...APIS, ...EDGES, ...NODES];
const MACHINES: readonly Machine[] = [...PARTS, ...SERVERS];

/** How a client of a team reaches sandboxes, through one API and one edge. */
export interface Way {
  apiUrl: string;
  sandboxUrl: string;
  apiKey: string;
}

export interface ClusterOptions {
  /** A directory if it is absent. */
  store?: StoreKind;
  /** What sandboxes are reached under. */
  domain?: string;
}

/** A sandbox as a node has it on its disk. */
export interface OnDisk {
  id: string;
  runs: boolean;
}

const PORTS = { api: 3000, edge: 3002, link: 5010, redis: 6379 };

/**
 * Three nodes, two APIs, two edges, PostgreSQL, Redis and a store, each on a machine of its own: a network namespace with an address,
 * and a data directory. They join as docs/cluster.md says.
 */
export class Cluster implements AsyncDisposable {
  readonly #run = newRun();
  readonly #dir = runDir(this.#run);
  readonly #processes = new Processes<Part>();
  readonly #running = new Set<Part>();
  readonly #hasBucket: boolean;
  /** Options of APIs and edges. */
  readonly #naming: { domain?: string };
  #network: MachineNetwork<Machine> | undefined;
  #disk: SmallDisk | undefined;
  #postgres: PostgresCluster | undefined;
  #redis: TestServer | undefined;
  #store: ClusterStore | undefined;

  private constructor({ store, domain }: ClusterOptions) {
    this.#hasBucket = store === 's3';
    this.#naming = domain === undefined ? {} : { domain };
  }
  #args: Partial<Record<Part, string[]>> = {};
  #databaseUrl = '';

  /** @param say told of each step of the start */
  static async start(say: (text: string) => void, options: ClusterOptions = {}): Promise<Cluster> {
    await removeLeftovers();
    const cluster = new Cluster(options);
    try {
      await cluster.#start(say);
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  get network(): MachineNetwork<Machine> {
    return given(this.#network);
  }

  get disk(): SmallDisk {
    return given(this.#disk);
  }

  get redis(): TestServer {
    return given(this.#redis);
  }

  get postgres(): PostgresCluster {
    return given(this.#postgres);
  }

  get databaseUrl(): string {
    return this.#databaseUrl;
  }

  get redisUrl(): string {
    return this.redis.url;
  }

  get store(): ClusterStore {
    return given(this.#store);
  }

  /** What is broken if the store is. */
  get storeMachine(): 'bucket' | 'store' {
    return this.#hasBucket ? 'bucket' : 'store';
  }

  /** Machines of which something can break. */
  get machines(): readonly Machine[] {
    return MACHINES.filter((machine) => machine !== 'bucket' || this.#hasBucket);
  }

  /** What Islet's processes said on stderr. */
  get log(): string {
    return this.#processes.log;
  }

  dataDir(part: Part): string {
    return part === SMALL ? join(this.disk.mountPoint, part) : join(this.#dir, part);
  }

  way(api: (typeof APIS)[number], edge: (typeof EDGES)[number]): Omit<Way, 'apiKey'> {
    return {
      apiUrl: `http://${this.network.addressOf(api)}:${PORTS.api}`,
      sandboxUrl: `http://${this.network.addressOf(edge)}:${PORTS.edge}`,
    };
  }

  /** Makes a team that may have so many sandboxes running at a time; gives its key. */
  async newTeam(name: string, limit: number): Promise<string> {
    const { slug } = await this.tell<{ slug: string }>('teams', 'create', '--name', name);
    await this.tell('teams', 'limit', slug, '--sandboxes', String(limit));
    return (await this.tell<{ key: string }>('keys', 'create', '--team', slug)).key;
  }

  isRunning(part: Part): boolean {
    return this.#running.has(part);
  }

  /** What was ended, and not started again. */
  get ended(): Part[] {
    return PARTS.filter((part) => !this.isRunning(part));
  }

  /** Starts what was ended. */
  async runAll(): Promise<void> {
    await Promise.all(this.ended.map((part) => this.run(part)));
  }

  pidOf(part: Part): number {
    return this.#processes.pidOf(part);
  }

  /** Starts one and waits until it serves. @throws Error with what it said if it ends before */
  async run(part: Part): Promise<void> {
    const through = this.network.enter(part);
    this.#running.add(part);
    await this.#processes.start(part, given(this.#args[part]), {
      ...{ through, env: { ...process.env, ...this.store.env } },
    });
  }

  /** Ends one; gives its exit code, null if a signal ended it. */
  async end(part: Part, signal: NodeJS.Signals): Promise<number | null> {
    this.#running.delete(part);
    return this.#processes.end(part, signal);
  }

  /** Ends a node and all that it runs, as a loss of power does. */
  async powerOff(node: NodeName): Promise<void> {
    await this.end(node, 'SIGKILL');
    await powerOff(this.dataDir(node));
  }

  /** A command of the operator beside an API that runs. @throws Error with what it said if it fails */
  async tell<T>(...words: string[]): Promise<T> {
    const { code, stdout, stderr } = await this.#command(words);
    if (code !== 0) throw new Error(`islet ${words.join(' ')} ended with ${code}: ${stdout}${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** Drains a node. Sandboxes may stay if something is broken meanwhile. @throws Error if it cannot be drained at all */
  async drain(node: NodeName): Promise<void> {
    const { stdout, stderr } = await this.#command(['node', 'drain', node]);
    if (!stdout.includes('"status":"draining"'))
      throw new Error(`${node} is not drained: ${stdout}${stderr}`);
  }

  /** What a node's records say, whether it runs or not. */
  async sandboxesOn(node: NodeName): Promise<OnDisk[]> {
    const dir = join(this.dataDir(node), 'sandboxes');
    const ids = await readdir(dir);
    const found = await Promise.all(
      ids.map(async (id) => {
        const text = await readFile(join(dir, id, 'state.json'), 'utf8').catch(() => undefined);
        // It has ended meanwhile.
        if (text === undefined) return [];
        return [{ id, runs: (JSON.parse(text) as { run: unknown }).run !== null }];
      }),
    );
    return found.flat();
  }

  /** Ends all parts as an operator does, and says what is left of them on this machine. */
  async stop(): Promise<string[]> {
    // Nobody frees what such a part had.
    const left = this.ended.map((part) => `${part} does not run`);
    for (const part of PARTS) {
      if (!this.isRunning(part)) continue;
      const code = await this.end(part, 'SIGTERM');
      if (code !== 0) left.push(`${part} ended with ${code}`);
    }
    for (const part of PARTS) {
      const [things, tables] = await Promise.all([leftOf(this.dataDir(part)), this.network.tablesOn(part)]);
      left.push(...[...things, ...tables].map((line) => `${part}: ${line}`));
    }
    return left;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = [...this.#running].map((part) => this.end(part, 'SIGTERM'));
    await Promise.allSettled(ended);
    await this.#redis?.[Symbol.asyncDispose]();
    await this.#postgres?.stop();
    await this.#store?.[Symbol.asyncDispose]();
    await removeRun(this.#run);
  }

  #command(words: readonly string[]): ReturnType<typeof runIslet> {
    const api = APIS.find((each) => this.isRunning(each));
    if (!api) throw new Error('no API runs');
    return runIslet([...words, '--json', '--data-dir', this.dataDir(api)], {
      through: this.network.enter(api),
    });
  }

  async #start(say: (text: string) => void): Promise<void> {
    await mkdir(this.#dir, { mode: 0o700 });
    const network = await MachineNetwork.open(this.#run, MACHINES);
    this.#network = network;
    const place = (server: Server) => ({
      host: network.addressOf(server),
      netns: network.netnsOf(server),
    });
    say('starting PostgreSQL, Redis and the store');
    const { host, netns } = place('redis');
    [this.#store, this.#postgres, this.#redis, this.#disk] = await Promise.all([
      this.#hasBucket ? bucketStore(place('bucket')) : directoryStore(join(this.#dir, 'store')),
      startPostgres(place('postgres')),
      TestServer.start('redis-server', { netns, address: { host, port: PORTS.redis } }),
      SmallDisk.make(join(this.#dir, 'disk')),
    ]);
    this.#databaseUrl = await this.#postgres.createDatabase('islet');
    this.#args = this.#words();
    say('starting the first API');
    await this.run('api-1');
    await this.#shareSecrets();
    say('joining and starting the others');
    await Promise.all([...EDGES, ...NODES].map((part) => this.#join(part)));
    // The first node makes the template, and the others find it in the store.
    await Promise.all([this.run('one'), ...(['api-2', ...EDGES] as const).map((part) => this.run(part))]);
    await Promise.all([this.run('two'), this.run('three')]);
  }

  #words(): Record<Part, string[]> {
    const address = (machine: Machine) => this.network.addressOf(machine);
    const words = (part: Part, options: Record<string, string | number>) => [
      part.split('-')[0] ?? '',
      ...['--json', '--data-dir', this.dataDir(part)],
      ...Object.entries(options).flatMap(([flag, value]) => [`--${flag}`, String(value)]),
    ];
    const artifacts = { 'artifacts-dir': join(this.#dir, 'artifacts') };
    const api = (part: (typeof APIS)[number], more = {}) =>
      words(part, {
        ...{ advertise: address(part), host: address(part), ...this.#naming },
        ...{ 'database-url': this.#databaseUrl, 'redis-url': this.redis.url, ...artifacts, ...more },
      });
    const planes = APIS.map((each) => `https://${address(each)}:${PORTS.link}`);
    const edge = (part: (typeof EDGES)[number], controlPlanes: string[]) =>
      words(part, { host: address(part), 'control-plane': controlPlanes.join(','), ...this.#naming });
    // One sandbox kept ready.
    const node = (part: NodeName) => [
      'node',
      ...words(part, { store: this.store.name, 'warm-memory': 100, ...artifacts }).slice(1),
    ];
    return {
      'api-1': api('api-1'),
      'api-2': api('api-2', { 'secrets-dir': join(this.dataDir('api-1'), 'secrets') }),
      'edge-1': edge('edge-1', planes),
      'edge-2': edge('edge-2', planes.toReversed()),
      ...{ one: node('one'), two: node('two'), three: node('three') },
    };
  }

  async #shareSecrets(): Promise<void> {
    const [from, to] = APIS.map((api) => join(this.dataDir(api), 'secrets')) as [string, string];
    await mkdir(to, { recursive: true, mode: 0o700 });
    await copyFile(join(from, 'cluster-authority'), join(to, 'cluster-authority'));
  }

  async #join(part: Exclude<Part, (typeof APIS)[number]>): Promise<void> {
    const role = part.startsWith('edge') ? 'edge' : 'node';
    const { token } = await this.tell<{ token: string }>('token', 'create', '--role', role);
    const words = ['join', token, '--name', part, '--advertise', this.network.addressOf(part)];
    const { code, stdout, stderr } = await runIslet([...words, '--json', '--data-dir', this.dataDir(part)], {
      through: this.network.enter(part),
    });
    if (code !== 0) throw new Error(`${part} cannot join: ${stdout}${stderr}`);
  }
}

function given<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError('the cluster is not started');
  return value;
}
