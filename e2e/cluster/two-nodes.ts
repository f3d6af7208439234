import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts, Processes } from '../setup/processes.ts';

export type Part = 'api' | 'edge' | 'one' | 'two';

export interface TwoNodesOptions {
  /** An empty directory for all that they keep. */
  dir: string;
  /** The `--store` of both nodes; absent: each has its own disk alone. */
  store?: string;
  /** Further words of the second node. */
  ofTwo?: readonly string[];
  env?: NodeJS.ProcessEnv;
}

/** An API, an edge and two nodes that share nothing but a store, each a process that can be ended and started again. */
export class TwoNodes implements AsyncDisposable {
  readonly #dir: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #args: Record<Part, string[]>;
  readonly #processes = new Processes<Part>();
  readonly apiUrl: string;
  readonly sandboxUrl: string;

  private constructor(
    options: TwoNodesOptions,
    args: Record<Part, string[]>,
    ports: { api: number; edge: number },
  ) {
    this.#dir = options.dir;
    this.#env = options.env ?? process.env;
    this.#args = args;
    this.apiUrl = `http://localhost:${ports.api}`;
    this.sandboxUrl = `http://localhost:${ports.edge}`;
  }

  /** Prepares them; `run` starts each. */
  static async prepare(options: TwoNodesOptions): Promise<TwoNodes> {
    const { dir, store } = options;
    const [api = 0, edge = 0, link, ...nodePorts] = await freePorts(9);
    const [tokenFile, nodes] = [join(dir, 'token'), join(dir, 'nodes.json')];
    await writeFile(tokenFile, randomBytes(32).toString('hex'), { mode: 0o600 });
    const words = (named: Record<string, unknown>) =>
      Object.entries(named).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const common = (part: Part) => words({ 'data-dir': join(dir, part), 'token-file': tokenFile });
    const node = (part: 'one' | 'two', [proxy, orchestrator, templates]: (number | undefined)[]) => ({
      listed: {
        id: part,
        orchestrator: `http://127.0.0.1:${orchestrator}`,
        templateManager: `http://127.0.0.1:${templates}`,
        sandboxProxy: `127.0.0.1:${proxy}`,
      },
      args: [
        ...['node', '--json', ...common(part)],
        ...words({ 'sandbox-proxy-port': proxy, 'orchestrator-port': orchestrator }),
        ...(store === undefined ? [] : words({ store })),
        ...words({ 'template-manager-port': templates, 'artifacts-dir': join(dir, 'api/artifacts') }),
        // One sandbox kept ready.
        ...words({ 'warm-memory': 100 }),
      ],
    });
    const [one, two] = [node('one', nodePorts.slice(0, 3)), node('two', nodePorts.slice(3))];
    await writeFile(nodes, JSON.stringify([one.listed, two.listed]));
    const args: Record<Part, string[]> = {
      one: one.args,
      // What was built on this machine before is not there for it, if a store has it.
      two: [
        ...two.args,
        ...(store === undefined ? [] : words({ 'cache-dir': join(dir, 'cache-of-two') })),
        ...(options.ofTwo ?? []),
      ],
      api: [
        ...['api', '--json', ...common('api')],
        ...words({ nodes, 'api-port': api, 'edge-link-port': link, 'proxy-port': edge }),
      ],
      edge: [
        ...['edge', '--json', ...common('edge')],
        ...words({ 'proxy-port': edge, 'control-plane': `http://127.0.0.1:${link}` }),
      ],
    };
    return new TwoNodes(options, args, { api, edge });
  }

  /** For the SDK. */
  async connection(): Promise<{ apiUrl: string; sandboxUrl: string; apiKey: string }> {
    const apiKey = (await readFile(join(this.#dir, 'api/secrets/api-key'), 'utf8')).trim();
    return { apiUrl: this.apiUrl, sandboxUrl: this.sandboxUrl, apiKey };
  }

  /** Starts one and waits until it serves. @throws Error with what it said if it ends before */
  run(part: Part): Promise<void> {
    return this.#processes.start(part, this.#args[part], { env: this.#env });
  }

  /** Has one stand still, or go on. */
  signal(part: Part, signal: 'SIGSTOP' | 'SIGCONT'): void {
    process.kill(this.#processes.pidOf(part), signal);
  }

  /** Ends one; gives its exit code, null if a signal ended it. */
  end(part: Part, signal: NodeJS.Signals): Promise<number | null> {
    return this.#processes.end(part, signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#processes.endAll(['edge', 'api', 'one', 'two']);
  }
}
