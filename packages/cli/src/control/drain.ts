import { eachAtOnce, pauseFor } from '@islet/contracts';
import type { MoveAnswer, NodesControl } from './nodes.ts';

export interface DrainOptions {
  nodes: Pick<NodesControl, 'show' | 'move'>;
  node: string;
  /** Sandboxes that are moved at a time. */
  atOnce: number;
  /** Ends the drain behind the moves that are under way. */
  signal: AbortSignal;
  /** Told of each sandbox that was moved, or stays. @param known sandboxes that are known by now, those of `settled` included */
  onSettled: (settled: Settled, counts: { settled: number; known: number }) => void;
}

/** What became of a sandbox; one that ended meanwhile is not told of. */
export type Settled = Exclude<MoveAnswer, { kind: 'gone' }> & { sandboxId: string };

/** Until what was being started when the drain began has started, ms. */
const LOOK_AGAIN_MS = 500;

/**
 * Moves all sandboxes of a node on which nothing new is started, each once.
 * @throws what listing them throws, and the first failure to ask for a move: what is under way then is ended first
 */
export async function drainNode(options: DrainOptions): Promise<Settled[]> {
  const { nodes, node, signal } = options;
  const tried = new Set<string>();
  const settled: Settled[] = [];
  while (!signal.aborted) {
    const { sandboxes, sandboxStartingCount } = await nodes.show(node);
    const untried = sandboxes.map(({ sandboxID }) => sandboxID).filter((id) => !tried.has(id));
    if (untried.length === 0 && sandboxStartingCount === 0) break;
    if (untried.length === 0) await pauseFor(LOOK_AGAIN_MS, signal, true);
    const known = settled.length + untried.length;
    await eachAtOnce(untried, options, async (sandboxId) => {
      tried.add(sandboxId);
      const answer = await nodes.move(node, sandboxId);
      if (answer.kind === 'gone') return;
      settled.push({ ...answer, sandboxId });
      options.onSettled({ ...answer, sandboxId }, { settled: settled.length, known });
    });
  }
  return settled;
}
