import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import { FLOOD_PORT, serveFloods } from '../../e2e/hostile/abuses.ts';
import type { InstanceAccess } from '../../e2e/setup/instance.ts';
import { parseSmapsRollup } from '../host/processes.ts';
import { createSandbox, killSandbox } from '../islet/api.ts';
import { addressOf, sdkOptions } from '../islet/sdk.ts';
import { type Goal, throughEdge } from '../load/goal.ts';
import { measureRequests } from '../load/requests.ts';
import type { RoundsOptions } from '../pace/rounds.ts';
import { timed } from '../pace/timed.ts';
import { BareServer } from './bare.ts';

/** One round of the neighbour's work: a create and a kill, some commands, and requests for so long. */
const COMMANDS = 4;
const HTTP_MS = 200;
/** A round takes less than a second; who waits longer than this is not served any more. */
const PATIENCE_MS = 30_000;

export const WORK = ['create', 'command', 'http'] as const;
export type Work = (typeof WORK)[number];

/** Milliseconds of what the neighbour did: through Islet, and through a bare server at the same time. */
export interface Seen {
  islet: Record<Work, number[]>;
  bare: Record<Work, number[]>;
  /** What Islet's process held meanwhile, MB. */
  memory: number[];
}

export function nothingSeen(): Seen {
  const none = (): Record<Work, number[]> => ({ create: [], command: [], http: [] });
  return { islet: none(), bare: none(), memory: [] };
}

/** Puts what was seen at two times together. */
export function addSeen(to: Seen, more: Seen): void {
  for (const work of WORK) {
    to.islet[work].push(...more.islet[work]);
    to.bare[work].push(...more.bare[work]);
  }
  to.memory.push(...more.memory);
}

/** The team that does nothing wrong, and its sandbox. */
export class Neighbour implements AsyncDisposable {
  readonly #access: InstanceAccess;
  readonly #bare: BareServer;
  readonly #sandbox: Sandbox;
  /** The same sandbox. */
  readonly #bareSandbox: Sandbox;

  private constructor(access: InstanceAccess, bare: BareServer, sandbox: Sandbox, bareSandbox: Sandbox) {
    this.#access = access;
    this.#bare = bare;
    this.#sandbox = sandbox;
    this.#bareSandbox = bareSandbox;
  }

  static async open(access: InstanceAccess): Promise<Neighbour> {
    const sandbox = await Sandbox.create(sdkOptions(access));
    await serveFloods(sandbox);
    const bare = await BareServer.start(await addressOf(sandbox));
    return new Neighbour(access, bare, sandbox, await bare.sandbox(access, sandbox.sandboxId));
  }

  /** Works on for `ms`, at least one round. @throws Error if that takes longer than anybody would wait. */
  work(ms: number, options: RoundsOptions): Promise<Seen> {
    const late = sleep(ms + PATIENCE_MS, undefined, { ref: false }).then(() => {
      throw new Error(`the neighbour's work is not done ${PATIENCE_MS / 1_000} s later`);
    });
    return Promise.race([this.#work(ms, options), late]);
  }

  async #work(ms: number, { signal, now }: RoundsOptions): Promise<Seen> {
    const seen = nothingSeen();
    const { islet, bare } = seen;
    const endAt = now() + ms;
    do {
      signal.throwIfAborted();
      const { id, ms: created } = await createSandbox(this.#access);
      islet.create.push(created);
      await killSandbox(this.#access, id);
      bare.create.push(await this.#bare.record());
      for (let i = 0; i < COMMANDS; i++) {
        islet.command.push(await timed(() => this.#sandbox.commands.run('true')));
        bare.command.push(await timed(() => this.#bareSandbox.commands.run('true')));
      }
      islet.http.push(...(await this.#requests(this.#access.sandboxUrl)));
      bare.http.push(...(await this.#requests(this.#bare.url)));
      seen.memory.push(await memoryOf(this.#access.pid));
    } while (now() < endAt);
    return seen;
  }

  async #requests(url: string): Promise<number[]> {
    const goal: Goal = throughEdge(url, this.#sandbox.sandboxId, FLOOD_PORT);
    return (await measureRequests(goal, 1, HTTP_MS)).latencies;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bare[Symbol.asyncDispose]();
    await this.#sandbox.kill();
  }
}

async function memoryOf(pid: number): Promise<number> {
  return parseSmapsRollup(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')).pss / 1e6;
}
