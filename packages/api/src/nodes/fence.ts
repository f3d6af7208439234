import { orchestratorProto } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { NodeLink } from './link.ts';
import type { Moves } from './moves.ts';
import { isNotFound } from './node-call.ts';

type SandboxMessage = orchestratorProto.Sandbox;

export interface FenceOptions {
  nodeId: string;
  link: NodeLink;
  moves: Pick<Moves, 'from' | 'freed'>;
  logger: Logger;
}

const KILL_TIMEOUT_MS = 30_000;
const LOOK_TIMEOUT_MS = 10_000;

/** Has a node free what was moved away from it while nobody could tell it so: nothing that it says of these counts until then. */
export class Fence {
  readonly #options: FenceOptions;
  /** Takes in what the node has of a sandbox that has come back to it. */
  readonly #onBack: (message: SandboxMessage) => Promise<void>;
  /** Moved to another node, and not freed here yet. */
  readonly #moved = new Set<string>();
  /** What was moved away by the time when the report was asked for. */
  #movedAway: readonly string[] = [];
  readonly #background = new Set<Promise<void>>();

  constructor(options: FenceOptions, onBack: (message: SandboxMessage) => Promise<void>) {
    this.#options = options;
    this.#onBack = onBack;
  }

  has(sandboxId: string): boolean {
    return this.#moved.has(sandboxId);
  }

  /** It is freed, or has come back. False if it was not to be freed. */
  delete(sandboxId: string): boolean {
    return this.#moved.delete(sandboxId);
  }

  /** The next report is made from now on. */
  async expectReport(): Promise<void> {
    this.#movedAway = await this.#options.moves.from(this.#options.nodeId);
  }

  /** Has the node free what a report names, and was moved. */
  reported(report: readonly SandboxMessage[]): void {
    const { moves, nodeId } = this.#options;
    const there = new Map(report.map((message) => [message.config?.sandboxId, message]));
    this.#moved.clear();
    const free = (movedAway: readonly string[]) => {
      for (const sandboxId of movedAway) {
        const sandbox = there.get(sandboxId);
        if (sandbox && !this.#moved.has(sandboxId)) this.#free(sandboxId, sandbox.executionId);
      }
    };
    free(this.#movedAway);
    // One that stood still answers late: more may have been moved since it was asked.
    this.#behind(moves.from(nodeId).then(free));
    if (there.has(undefined)) return;
    const freed = this.#movedAway.filter((sandboxId) => !there.has(sandboxId));
    this.#behind(moves.freed(nodeId, freed));
  }

  /** Waits for what is under way behind the calls. */
  async settled(): Promise<void> {
    await Promise.all(this.#background);
  }

  #free(sandboxId: string, executionId: string): void {
    const { nodeId, link, logger, moves } = this.#options;
    const reason = orchestratorProto.KillReason.TAKEN_OVER;
    this.#moved.add(sandboxId);
    const free = async () => {
      if ((await moves.from(nodeId)).includes(sandboxId)) {
        let isKilled = true;
        try {
          await link.sandboxes.killSandbox(
            { sandboxId, reason, executionId },
            { timeoutMs: KILL_TIMEOUT_MS },
          );
        } catch (error) {
          if (!isNotFound(error)) throw error;
          isKilled = false;
        }
        await moves.freed(nodeId, [sandboxId]);
        if (isKilled) return; // The node's event counts, which tells of its end.
      }
      // It came back while the node reported, or another control plane was faster, and it may come back at any time.
      this.#moved.delete(sandboxId);
      await this.#look(sandboxId);
    };
    this.#behind(
      free()
        // Its next report has it again.
        .catch((error: unknown) =>
          logger.warn({ err: error, sandboxId }, 'a node still has a sandbox that was moved away from it'),
        ),
    );
  }

  /** Takes in what the node has of a sandbox now. */
  async #look(sandboxId: string): Promise<void> {
    const { link } = this.#options;
    try {
      const { sandbox } = await link.sandboxes.getSandbox({ sandboxId }, { timeoutMs: LOOK_TIMEOUT_MS });
      if (sandbox) await this.#onBack(sandbox);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  #behind(work: Promise<void>): void {
    const tracked = work.finally(() => this.#background.delete(tracked));
    this.#background.add(tracked);
  }
}
