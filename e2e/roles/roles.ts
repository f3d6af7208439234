import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const LAUNCHER = resolve(import.meta.dirname, '../../islet');

export type Role = 'api' | 'edge' | 'node';

interface Running {
  child: ChildProcess;
  ended: Promise<number | null>;
}

/** API, edge and node as three processes, each of which can be ended and started again on its own. */
export class Roles implements AsyncDisposable {
  readonly #args: Record<Role, string[]>;
  readonly #running = new Map<Role, Running>();
  readonly apiUrl: string;
  readonly sandboxUrl: string;
  /** What they said on stderr. */
  log = '';

  private constructor(args: Record<Role, string[]>, urls: { apiUrl: string; sandboxUrl: string }) {
    this.#args = args;
    this.apiUrl = urls.apiUrl;
    this.sandboxUrl = urls.sandboxUrl;
  }

  /**
   * Starts all three.
   * @param dir an empty directory for all that they keep
   * @param more options of a role, beside those that the others need
   */
  static async start(dir: string, more: Partial<Record<Role, readonly string[]>> = {}): Promise<Roles> {
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
  async run(role: Role): Promise<void> {
    const child = spawn(LAUNCHER, [role, ...this.#args[role]], { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = new Promise<number | null>((done) => child.once('exit', done));
    this.#running.set(role, { child, ended });
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
    throw new Error(`islet ${role} ended before it was ready:\n${said.slice(-5).join('\n')}\n${this.log}`);
  }

  pidOf(role: Role): number {
    const pid = this.#running.get(role)?.child.pid;
    if (pid === undefined) throw new Error(`no ${role} runs`);
    return pid;
  }

  /** Ends one; gives its exit code, null if a signal ended it. */
  async end(role: Role, signal: NodeJS.Signals): Promise<number | null> {
    const running = this.#running.get(role);
    if (!running) throw new Error(`no ${role} runs`);
    this.#running.delete(role);
    running.child.kill(signal);
    return running.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const role of ['edge', 'api', 'node'] as const) {
      if (this.#running.has(role)) await this.end(role, 'SIGTERM');
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
