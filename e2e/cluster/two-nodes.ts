import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const LAUNCHER = resolve(import.meta.dirname, '../../islet');

export type Part = 'api' | 'edge' | 'one' | 'two';

interface Running {
  child: ChildProcess;
  ended: Promise<number | null>;
}

export interface TwoNodesOptions {
  /** An empty directory for all that they keep. */
  dir: string;
  /** The `--store` of both nodes. */
  store: string;
  env?: NodeJS.ProcessEnv;
}

/** An API, an edge and two nodes that share nothing but a store, each a process that can be ended and started again. */
export class TwoNodes implements AsyncDisposable {
  readonly #dir: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #args: Record<Part, string[]>;
  readonly #running = new Map<Part, Running>();
  readonly apiUrl: string;
  readonly sandboxUrl: string;
  /** What they said on stderr. */
  log = '';

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
        ...words({ 'sandbox-proxy-port': proxy, 'orchestrator-port': orchestrator, store }),
        ...words({ 'template-manager-port': templates, 'artifacts-dir': join(dir, 'api/artifacts') }),
        // One sandbox kept ready.
        ...words({ 'warm-memory': 100 }),
      ],
    });
    const [one, two] = [node('one', nodePorts.slice(0, 3)), node('two', nodePorts.slice(3))];
    await writeFile(nodes, JSON.stringify([one.listed, two.listed]));
    const args: Record<Part, string[]> = {
      one: one.args,
      // What was built on this machine before is not there for it.
      two: [...two.args, ...words({ 'cache-dir': join(dir, 'cache-of-two') })],
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
  async run(part: Part): Promise<void> {
    const child = spawn(LAUNCHER, this.#args[part], { stdio: ['ignore', 'pipe', 'pipe'], env: this.#env });
    const ended = new Promise<number | null>((done) => child.once('exit', done));
    this.#running.set(part, { child, ended });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.log += text;
    });
    const said: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      said.push(line);
      if (!line.includes('"event":"ready"')) continue;
      child.stdout.resume();
      return;
    }
    throw new Error(`${part} ended before it was ready:\n${said.slice(-5).join('\n')}\n${this.log}`);
  }

  /** Ends one; gives its exit code, null if a signal ended it. */
  async end(part: Part, signal: NodeJS.Signals): Promise<number | null> {
    const running = this.#running.get(part);
    if (!running) throw new Error(`${part} does not run`);
    this.#running.delete(part);
    running.child.kill(signal);
    return running.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const part of ['edge', 'api', 'one', 'two'] as const) {
      if (this.#running.has(part)) await this.end(part, 'SIGTERM');
    }
  }
}

/** Ports that nobody had a moment ago; they are to be the same after a restart. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  for (const server of servers) {
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
