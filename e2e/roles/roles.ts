import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts, Processes } from '../setup/processes.ts';

export type Role = 'api' | 'edge' | 'node';

/** API, edge and node as three processes, each of which can be ended and started again on its own. */
export class Roles implements AsyncDisposable {
  readonly #args: Record<Role, string[]>;
  readonly #processes = new Processes<Role>();
  readonly apiUrl: string;
  readonly sandboxUrl: string;

  readonly #env: NodeJS.ProcessEnv;

  private constructor(
    args: Record<Role, string[]>,
    urls: { apiUrl: string; sandboxUrl: string },
    env: NodeJS.ProcessEnv,
  ) {
    this.#args = args;
    this.#env = env;
    this.apiUrl = urls.apiUrl;
    this.sandboxUrl = urls.sandboxUrl;
  }

  /**
   * Starts all three.
   * @param dir an empty directory for all that they keep
   * @param more options of a role, beside those that the others need
   * @param env variables of all, beside those of this process
   */
  static async start(
    dir: string,
    more: Partial<Record<Role, readonly string[]>> = {},
    env: NodeJS.ProcessEnv = {},
  ): Promise<Roles> {
    const [api, edge, link, proxy, orchestrator, templates] = await freePorts(6);
    const [tokenFile, nodes] = [join(dir, 'token'), join(dir, 'nodes.json')];
    await writeFile(tokenFile, randomBytes(32).toString('hex'), { mode: 0o600 });
    const node = {
      id: 'one',
      orchestrator: `http://127.0.0.1:${orchestrator}`,
      templateManager: `http://127.0.0.1:${templates}`,
      sandboxProxy: `127.0.0.1:${proxy}`,
    };
    await writeFile(nodes, JSON.stringify([node]));
    const common = (role: Role) => [
      ...['--json', '--data-dir', join(dir, role), '--token-file', tokenFile],
      ...(more[role] ?? []),
    ];
    const words = (options: Record<string, unknown>) =>
      Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const started = new Roles(
      {
        node: [
          ...common('node'),
          ...words({ 'sandbox-proxy-port': proxy, 'orchestrator-port': orchestrator }),
          ...words({ 'template-manager-port': templates, 'artifacts-dir': join(dir, 'api/artifacts') }),
        ],
        api: [
          ...common('api'),
          ...words({ nodes, 'api-port': api, 'edge-link-port': link, 'proxy-port': edge }),
        ],
        edge: [
          ...common('edge'),
          ...words({ 'proxy-port': edge, 'control-plane': `http://127.0.0.1:${link}` }),
        ],
      },
      { apiUrl: `http://localhost:${api}`, sandboxUrl: `http://localhost:${edge}` },
      env,
    );
    try {
      // In the least convenient order: each has to wait for the next.
      await Promise.all((['edge', 'api', 'node'] as const).map((role) => started.run(role)));
    } catch (error) {
      await started[Symbol.asyncDispose]();
      throw error;
    }
    return started;
  }

  /** Starts one and waits until it serves. @throws Error with what it said if it ends before */
  run(role: Role, more: readonly string[] = []): Promise<void> {
    return this.#processes.start(role, [role, ...this.#args[role], ...more], {
      env: { ...process.env, ...this.#env },
    });
  }

  pidOf(role: Role): number {
    return this.#processes.pidOf(role);
  }

  /** Ends one; gives its exit code, null if a signal ended it. */
  end(role: Role, signal: NodeJS.Signals): Promise<number | null> {
    return this.#processes.end(role, signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#processes.endAll(['edge', 'api', 'node']);
  }
}
