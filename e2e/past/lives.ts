import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPlane, SandboxBody } from '../setup/control-plane.ts';
import type { Ledger, Operation } from './ledger.ts';

export interface LivesOptions {
  workers: number;
  ledger: Ledger;
  api: ControlPlane;
}

/** Of success, and of what had been done by a call that no answer came to. */
type Statuses = readonly [number, number];

/** So long does a worker wait for an Islet that does not answer, ms. */
const AGAIN_MS = 300;
/** So long at most does it ask on after all is over, ms: Islet may not have started again. */
const PATIENCE_MS = 60_000;
/** In which a sandbox that nobody asks about any more is still there, s. */
const LIFE_S = 3_600;

/** Workers that take a sandbox each through its life, again and again: created, paused, resumed, killed. */
export class Lives {
  readonly #ledger: Ledger;
  #api: ControlPlane;
  #isOver = false;
  #gaveUp = false;
  readonly #working: Promise<unknown>;

  constructor({ workers, ledger, api }: LivesOptions) {
    this.#ledger = ledger;
    this.#api = api;
    this.#working = Promise.all(Array.from({ length: workers }, () => this.#work()));
  }

  /** The Islet that runs now. */
  use(api: ControlPlane): void {
    this.#api = api;
  }

  /** Lets each come to the end of its life. */
  async end(): Promise<void> {
    this.#isOver = true;
    const giveUp = setTimeout(() => {
      this.#gaveUp = true;
    }, PATIENCE_MS);
    await this.#working;
    clearTimeout(giveUp);
  }

  async #work(): Promise<void> {
    while (!this.#isOver) {
      const created = await this.#api
        .call<SandboxBody>('POST', '/sandboxes', { body: { templateID: 'base', timeout: LIFE_S } })
        .catch(() => undefined);
      // Of one that no answer came to, nobody knows the id.
      if (created?.status !== 201) {
        await sleep(AGAIN_MS);
        continue;
      }
      const id = created.body.sandboxID;
      this.#ledger.acknowledged(id, 'created');
      const body = { timeout: LIFE_S };
      const steps: [Operation, (api: ControlPlane) => Promise<{ status: number }>, Statuses][] = [
        ['paused', (api) => api.call('POST', `/sandboxes/${id}/pause`), [204, 409]],
        ['resumed', (api) => api.call('POST', `/sandboxes/${id}/connect`, { body }), [201, 200]],
        ['killed', (api) => api.call('DELETE', `/sandboxes/${id}`), [204, 404]],
      ];
      for (const [operation, call, statuses] of steps) {
        if (!(await this.#until(id, operation, call, statuses))) break;
      }
    }
  }

  /** Asks until it is done. False if the sandbox is lost: it is not there any more, and nobody has killed it. */
  async #until(
    id: string,
    operation: Operation,
    call: (api: ControlPlane) => Promise<{ status: number }>,
    [done, before]: Statuses,
  ): Promise<boolean> {
    for (;;) {
      const answer = await call(this.#api).catch(() => undefined);
      if (answer?.status === done) this.#ledger.acknowledged(id, operation);
      if (answer?.status === done || answer?.status === before) return true;
      if (answer?.status === 404) {
        this.#ledger.lost(id);
        return false;
      }
      this.#ledger.unanswered(id, operation);
      if (this.#gaveUp) return false;
      await sleep(AGAIN_MS);
    }
  }
}
