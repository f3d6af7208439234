import type { Hearings } from '@islet/catalog';
import type { Logger } from '@islet/telemetry';
import type { Node } from './node.ts';

/** How often the others are told who is heard, ms. */
const TELL_MS = 2_000;
/** Longer than another control plane needs to remove what it took for lost, ms. */
const REMOVED_MS = 10_000;

/**
 * Tells the other control planes which nodes this one hears, until it is ended. One that counted as lost tells anew when it is back,
 * and once more when nobody removes anything of it any more.
 */
export function tellHearings(
  hearings: Hearings,
  nodes: () => readonly Node[],
  logger: Logger,
): AsyncDisposable {
  const again = new Set<NodeJS.Timeout>();
  const ask = (node: Node) => void node.tellAnew();
  const tell = async () => {
    const all = nodes();
    const heard = all.flatMap(({ id, silence }) => {
      const agoMs = silence.tell();
      return agoMs === undefined ? [] : { nodeId: id, agoMs };
    });
    const back = new Set(await hearings.heard(heard));
    for (const node of all.filter(({ id }) => back.has(id))) {
      ask(node);
      const timer = setTimeout(() => {
        again.delete(timer);
        ask(node);
      }, REMOVED_MS).unref();
      again.add(timer);
    }
  };
  let telling: Promise<void> | undefined;
  const timer = setInterval(() => {
    telling ??= tell()
      .catch((error: unknown) =>
        logger.debug({ err: error }, 'other APIs were not told which nodes are heard'),
      )
      .finally(() => {
        telling = undefined;
      });
  }, TELL_MS).unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      for (const each of again) clearTimeout(each);
      await telling;
    },
  };
}
