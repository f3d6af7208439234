import { orchestratorProto, type Sandbox } from '@islet/contracts';
import { finishMove, forgetOldClaims, unfinishedMoves } from '@islet/db';
import type { ApiContext } from '../context.ts';
import { Recurring } from '../recurring.ts';
import { withinReach } from './move.ts';
import { goOn } from './relocate.ts';

const { SandboxState } = orchestratorProto;

/** From one look to the next, ms. */
const LOOK_MS = 5_000;
/** How long nothing happens to what somebody is moving, at the most, ms: longer than any call of a move takes. */
const LEFT_MS = 70_000;

export interface MoveKeeperTimes {
  lookMs: number;
  leftMs: number;
}

/**
 * Finishes moves whose control plane has died: a sandbox that was stopped to be moved goes on where it is, and a node lets go of
 * what another one has. It also forgets claims that nobody needs any more. All that it needs to know is what the nodes tell, and the claims in the database.
 */
export class MoveKeeper implements AsyncDisposable {
  readonly #context: ApiContext;
  readonly #times: MoveKeeperTimes;
  /** Of each sandbox that is being moved: since when it is as it is, in monotonic ms. */
  readonly #seen = new Map<string, { revision: number; since: number }>();
  /** When claims were looked through, monotonic ms. */
  #sweptAt = 0;
  readonly #looks = new Recurring(() => this.#look());

  constructor(context: ApiContext, times: Partial<MoveKeeperTimes> = {}) {
    this.#context = context;
    this.#times = { lookMs: LOOK_MS, leftMs: LEFT_MS, ...times };
  }

  start(): void {
    this.#looks.start(this.#times.lookMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#looks[Symbol.asyncDispose]();
  }

  async #look(): Promise<void> {
    const { logger, nodes } = this.#context;
    await Promise.all(this.#left().map((sandbox) => this.#resume(sandbox)));
    await this.#sweep().catch((error: unknown) =>
      logger.warn({ err: error }, 'claims of resumes without an answer are left for now'),
    );
    if (nodes.all.length < 2) return;
    await this.#settleClaims().catch((error: unknown) =>
      logger.warn({ err: error }, 'it is not known which moves were left unfinished'),
    );
  }

  /** Sandboxes that were stopped to be moved, and that nobody moves. */
  #left(): Sandbox[] {
    const now = this.#context.clock.monotonic();
    const moving = this.#context.sandboxes.moving();
    const ids = new Set(moving.map(({ config }) => config.sandboxId));
    for (const id of this.#seen.keys()) if (!ids.has(id)) this.#seen.delete(id);
    return moving.filter(({ config, revision, state }) => {
      const before = this.#seen.get(config.sandboxId);
      if (before?.revision === revision) {
        return state === SandboxState.PAUSED && now - before.since >= this.#times.leftMs;
      }
      this.#seen.set(config.sandboxId, { revision, since: now });
      return false;
    });
  }

  async #resume(sandbox: Sandbox): Promise<void> {
    const { logger } = this.#context;
    const { sandboxId } = sandbox.config;
    try {
      const resumed = await goOn(this.#context, await withinReach(this.#context, sandbox));
      logger.info({ sandboxId, nodeId: resumed.nodeId }, 'a sandbox goes on whose move was left unfinished');
    } catch (error) {
      logger.warn({ err: error, sandboxId }, 'a sandbox that was to be moved does not go on yet');
    }
  }

  /** Forgets what was claimed for resumes whose answer was never heard, or whose control plane has died. */
  async #sweep(): Promise<void> {
    const { clock, db } = this.#context;
    const { leftMs } = this.#times;
    if (clock.monotonic() - this.#sweptAt < leftMs) return;
    this.#sweptAt = clock.monotonic();
    await forgetOldClaims(db, new Date(clock.now() - leftMs));
  }

  /** Has nodes let go of what others have. */
  async #settleClaims(): Promise<void> {
    const { clock, db, nodes, sandboxes } = this.#context;
    const left = await unfinishedMoves(db, new Date(clock.now() - this.#times.leftMs));
    const owing = new Set<string>();
    for (const claim of left) {
      const isThere = sandboxes.get(claim.sandboxId)?.nodeId === claim.holderId;
      if (claim.isDone || (isThere && (await finishMove(db, claim, claim.holderId)))) owing.add(claim.nodeId);
    }
    // Its report is what it is told by.
    for (const nodeId of owing) {
      const node = nodes.find(nodeId);
      if (node?.status === 'ready') await node.tellAnew();
    }
  }
}
