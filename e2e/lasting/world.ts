import { createHash, randomBytes } from 'node:crypto';
import { Sandbox } from 'e2b';
import { expect } from 'vitest';
import { untilNoStrays } from '../chaos/strays.ts';
import { ControlPlane, type ListedBody } from '../setup/control-plane.ts';
import type { InstanceAccess } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { type Modelled, type Operation, outcomeOf } from './model.ts';

const LIFE_S = 900;
const FILE = '/home/user/content';
const KEEPER_PORT = 8000;
const SETTLE_MS = 30_000;

/** Holds a random megabyte in its memory and tells its sum. */
const KEEPER = `
import hashlib, http.server, os
held = os.urandom(1 << 20)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(hashlib.sha256(held).hexdigest().encode())
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(('', ${KEEPER_PORT}), Handler).serve_forever()
`;

/** Real sandboxes, each beside what it has to be. */
export class World implements AsyncDisposable {
  readonly #api: ControlPlane;
  readonly #access: InstanceAccess;
  readonly #models = new Map<string, Modelled>();
  readonly #sandboxes = new Map<string, Sandbox>();
  readonly #gone = new Set<string>();
  readonly #snapshots: string[] = [];

  constructor(access: InstanceAccess) {
    this.#access = access;
    this.#api = new ControlPlane(access);
  }

  /** Clients ask for all of it at once, no two for the same sandbox. */
  async step(operations: readonly Operation[]): Promise<void> {
    const ids = [...this.#models.keys()];
    const taken = new Set<string>();
    await Promise.all(
      operations.map(async (operation) => {
        if (operation.kind === 'create') return this.#create('base', operation.onTimeout);
        const id = ids[operation.target % Math.max(1, ids.length)];
        if (id === undefined || taken.has(id)) return;
        taken.add(id);
        await this.#act(id, operation.kind);
      }),
    );
  }

  /** Everything is as the model has it, and nothing is there that belongs to nobody. */
  async expectAsModelled(): Promise<void> {
    const states = async () => {
      const { body } = await this.#api.call<ListedBody[]>('GET', '/v2/sandboxes');
      return Object.fromEntries(body.map(({ sandboxID, state }) => [sandboxID, state]));
    };
    const now = await states();
    // Other tests' sandboxes may be there too.
    const mine = Object.entries(now).filter(([id]) => this.#models.has(id) || this.#gone.has(id));
    const wanted = Object.fromEntries([...this.#models].map(([id, { state }]) => [id, state]));
    expect(Object.fromEntries(mine)).toEqual(wanted);
    await Promise.all(
      [...this.#models].map(async ([id, model]) => {
        if (model.state !== 'running') return;
        expect({ id, ...(await this.#contentOf(id)) }).toEqual({
          id,
          file: model.file,
          memory: model.memory,
        });
      }),
    );
    await untilNoStrays(this.#api);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#models.keys()].map((id) => this.#api.kill(id)));
    for (const id of this.#snapshots) {
      await this.#api.call('DELETE', `/templates/${encodeURIComponent(id)}`);
    }
  }

  async #create(template: string, onTimeout: 'kill' | 'pause', from?: Modelled): Promise<void> {
    const sandbox = await Sandbox.create(template, {
      ...this.#access,
      timeoutMs: LIFE_S * 1000,
      lifecycle: { onTimeout },
    });
    const id = sandbox.sandboxId;
    this.#sandboxes.set(id, sandbox);
    if (from) {
      this.#models.set(id, { ...from, onTimeout });
      return;
    }
    this.#models.set(id, { state: 'running', onTimeout, file: '', memory: '' });
    await sandbox.files.write('/tmp/keeper.py', KEEPER);
    await sandbox.commands.run('python3 /tmp/keeper.py', { background: true, timeoutMs: 0 });
    await this.#write(id);
    const memory = await until(
      'the keeper serves',
      20_000,
      () => this.#memoryOf(id),
      (sum) => /^[0-9a-f]{64}$/.test(sum),
    );
    this.#model(id).memory = memory;
  }

  async #act(id: string, kind: Exclude<Operation['kind'], 'create'>): Promise<void> {
    const model = this.#model(id);
    const before = { ...model };
    const { status, becomes } = outcomeOf(kind, model);
    const post = (path: string, body: object) => this.#api.call('POST', `/sandboxes/${id}/${path}`, { body });
    const calls = {
      pause: () => post('pause', {}),
      resume: () => post('resume', { timeout: LIFE_S }),
      kill: () => this.#api.call('DELETE', `/sandboxes/${id}`),
      prolong: () => post('timeout', { timeout: LIFE_S }),
      expire: () => post('timeout', { timeout: 1 }),
      fork: () => post('fork', { timeout: LIFE_S }),
      snapshot: () => post('snapshots', {}),
      write: async () =>
        before.state === 'running'
          ? { status: await this.#write(id), body: undefined }
          : this.#api.edge(id, 49983, '/health'),
    };
    const answer = await calls[kind]();
    expect(answer.status, `${kind} of ${id}: ${JSON.stringify(answer.body)}`).toBe(status);
    if (becomes === 'gone') {
      this.#models.delete(id);
      this.#gone.add(id);
    } else {
      model.state = becomes;
    }
    if (kind === 'expire' && becomes !== before.state) await this.#untilState(id, becomes);
    if (status !== 201) return;
    if (kind === 'fork') await this.#adoptForks(answer.body, before);
    if (kind === 'snapshot') {
      const { snapshotID } = answer.body as unknown as { snapshotID: string };
      this.#snapshots.push(snapshotID);
      await this.#create(snapshotID, 'kill', before);
    }
  }

  async #adoptForks(body: unknown, from: Modelled): Promise<void> {
    for (const { sandbox, error } of body as { sandbox?: { sandboxID: string }; error?: object }[]) {
      expect(error).toBeUndefined();
      const id = sandbox?.sandboxID ?? '';
      this.#sandboxes.set(id, await Sandbox.connect(id, { ...this.#access, timeoutMs: 1_000 }));
      this.#models.set(id, { ...from });
    }
  }

  async #untilState(id: string, wanted: 'running' | 'paused' | 'gone'): Promise<void> {
    await until(
      `${id} is ${wanted}`,
      SETTLE_MS,
      async () => {
        const { status, body } = await this.#api.get(id);
        return status === 404 ? 'gone' : body.state;
      },
      (state) => state === wanted,
    );
  }

  /** Replaces its file. Gives the status that the official SDK does not show. */
  async #write(id: string): Promise<200> {
    const content = randomBytes(50_000).toString('hex');
    await this.#sandbox(id).files.write(FILE, content);
    this.#model(id).file = sum(content);
    return 200;
  }

  async #contentOf(id: string): Promise<{ file: string; memory: string }> {
    return { file: sum(await this.#sandbox(id).files.read(FILE)), memory: await this.#memoryOf(id) };
  }

  async #memoryOf(id: string): Promise<string> {
    return (await this.#api.edge(id, KEEPER_PORT, '/')).text;
  }

  #model(id: string): Modelled {
    const model = this.#models.get(id);
    if (!model) throw new Error(`there is no model of ${id}`);
    return model;
  }

  #sandbox(id: string): Sandbox {
    const sandbox = this.#sandboxes.get(id);
    if (!sandbox) throw new Error(`nobody is connected to ${id}`);
    return sandbox;
  }
}

function sum(content: string): string {
  return createHash('sha256').update(content).digest('hex');
}
