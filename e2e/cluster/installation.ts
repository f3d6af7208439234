import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts, Processes } from '../setup/processes.ts';

export interface InstallationOptions {
  /** An empty directory for all that its processes keep. */
  dir: string;
  databaseUrl: string;
  redisUrl: string;
}

/** A process of the installation. */
export type Name = 'api-1' | 'api-2' | 'edge-1' | 'edge-2' | 'node';

/** Two APIs and two edges over one node, a database and a Redis. */
export class Installation implements AsyncDisposable {
  readonly #args: Record<Name, string[]>;
  readonly #processes = new Processes<Name>();
  readonly apiUrls: readonly [string, string];
  readonly edgeUrls: readonly [string, string];

  private constructor(args: Record<Name, string[]>, urls: Pick<Installation, 'apiUrls' | 'edgeUrls'>) {
    this.#args = args;
    this.apiUrls = urls.apiUrls;
    this.edgeUrls = urls.edgeUrls;
  }

  static async start({ dir, databaseUrl, redisUrl }: InstallationOptions): Promise<Installation> {
    const ports = await freePorts(9);
    const [api1, api2, link1, link2, edge1, edge2, proxy, orchestrator, templates] = ports;
    const [tokenFile, nodes] = [join(dir, 'token'), join(dir, 'nodes.json')];
    const artifacts = join(dir, 'artifacts');
    await writeFile(tokenFile, randomBytes(32).toString('hex'), { mode: 0o600 });
    const node = {
      id: 'one',
      orchestrator: `http://127.0.0.1:${orchestrator}`,
      templateManager: `http://127.0.0.1:${templates}`,
      sandboxProxy: `127.0.0.1:${proxy}`,
    };
    await writeFile(nodes, JSON.stringify([node]));
    const words = (name: Name, options: Record<string, unknown>) => [
      name.split('-')[0] ?? '',
      ...['--json', '--data-dir', join(dir, name), '--token-file', tokenFile],
      ...Object.entries(options).flatMap(([flag, value]) => [`--${flag}`, String(value)]),
    ];
    const ofApi = (apiPort?: number, linkPort?: number) => ({
      ...{ nodes, 'artifacts-dir': artifacts, 'database-url': databaseUrl, 'redis-url': redisUrl },
      ...{ 'api-port': apiPort, 'edge-link-port': linkPort, 'proxy-port': edge1 },
    });
    const planes = [link1, link2].map((port) => `http://127.0.0.1:${port}`);
    const args: Record<Name, string[]> = {
      node: words('node', {
        ...{ 'sandbox-proxy-port': proxy, 'orchestrator-port': orchestrator },
        ...{ 'template-manager-port': templates, 'artifacts-dir': artifacts },
      }),
      'api-1': words('api-1', ofApi(api1, link1)),
      'api-2': words('api-2', { ...ofApi(api2, link2), 'secrets-dir': join(dir, 'api-1/secrets') }),
      'edge-1': words('edge-1', { 'proxy-port': edge1, 'control-plane': planes.join(',') }),
      'edge-2': words('edge-2', { 'proxy-port': edge2, 'control-plane': planes.toReversed().join(',') }),
    };
    const installation = new Installation(args, {
      apiUrls: [`http://localhost:${api1}`, `http://localhost:${api2}`],
      edgeUrls: [`http://localhost:${edge1}`, `http://localhost:${edge2}`],
    });
    try {
      // The second API has the secrets of the first.
      await Promise.all([installation.run('node'), installation.run('api-1')]);
      await Promise.all((['api-2', 'edge-1', 'edge-2'] as const).map((name) => installation.run(name)));
    } catch (error) {
      await installation[Symbol.asyncDispose]();
      throw error;
    }
    return installation;
  }

  /** Starts one and waits until it serves. @throws Error with what it said if it ends before */
  run(name: Name): Promise<void> {
    return this.#processes.start(name, this.#args[name]);
  }

  /** Ends one; gives its exit code, null if a signal ended it. */
  end(name: Name, signal: NodeJS.Signals): Promise<number | null> {
    return this.#processes.end(name, signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#processes.endAll(['edge-1', 'edge-2', 'api-1', 'api-2', 'node']);
  }
}
