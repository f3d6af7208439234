import { setTimeout as sleep } from 'node:timers/promises';
import type { KeptContents, StoreContents } from '@islet/catalog';
import type { Logger } from '@islet/telemetry';
import type { PausedRows } from './paused-rows.ts';
import type { NodeRegistry } from './registry.ts';

export interface StartNodesOptions {
  nodes: NodeRegistry;
  rows: Pick<PausedRows, 'shownOf'>;
  /** Of the store that what they tell is written to. Absent: it loses nothing. */
  contents: StoreContents | undefined;
  logger: Logger;
}

/** How long the start waits for the nodes to tell what lives on them. */
const FIRST_REPORT_MS = 5_000;
/** Longest wait for all that nodes tell anew to be written, ms; then they are asked once more. */
const REWRITE_MS = 5_000;
/** How long the start waits until places are given out, ms. */
const FIRST_PLACES_MS = 10_000;

/**
 * Links the nodes, and has them tell anew whenever the store may have lost what they told. Resolves when what lives on them is
 * known, or they are silent for some seconds.
 * @returns how to end the latter
 */
export async function startNodes({
  nodes,
  rows,
  contents,
  logger,
}: StartNodesOptions): Promise<AsyncDisposable> {
  /** What it has paused can be listed, and resumed on others if their store has it. */
  const recall = async (nodeId: string) => {
    try {
      await nodes.find(nodeId)?.sandboxes.recall(await rows.shownOf(nodeId));
    } catch (error) {
      logger.warn({ err: error, nodeId }, 'what is paused on a node that does not answer is not listed');
    }
  };
  const start = async () => {
    const silent = await nodes.start(FIRST_REPORT_MS);
    if (silent.length === 0) return;
    logger.warn({ nodes: silent }, 'nodes do not answer yet: what runs on them shows up when they do');
    await Promise.all(silent.map((id) => recall(id)));
  };
  if (!contents) {
    await start();
    return { [Symbol.asyncDispose]: async () => undefined };
  }
  let isStarted = false;
  const kept: KeptContents = contents.keep(() => {
    if (isStarted) return nodes.tellAnew(REWRITE_MS);
    isStarted = true;
    return start();
  });
  await Promise.race([kept.first, sleep(FIRST_PLACES_MS, undefined, { ref: false })]);
  return kept;
}
