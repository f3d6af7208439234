import type { RouteListener, Routes } from '@islet/catalog';
import type { RedisConnection, Script } from '../connection.ts';
import type { Epoch } from '../epoch/epoch.ts';
import { PUT, RECONCILE, REMOVE } from './scripts.ts';
import { changeFromMessage, type NumberedChange, routeFromText, routeToText } from './stored-route.ts';

/** Keys that the server looks at in one step when a watch begins. */
const SCAN_COUNT = 1_000;

/**
 * Routes that any number of control planes and proxies share. As long as this one has not written what it knows in the epoch,
 * nobody is told that a route is not there: whoever follows keeps what they knew.
 */
export function createRedisRoutes(
  redis: RedisConnection,
  epoch: Pick<Epoch, 'assertWritten' | 'assertLasting'>,
): Routes {
  const [prefix, channel, changes] = [redis.key(), redis.key('routes'), redis.key('routes', 'changes')];
  const keyOf = (sandboxId: string) => redis.key('route', sandboxId);
  const run = (script: Script, ...args: (string | number)[]) =>
    redis.run(script, [changes], [prefix, channel, ...args]);

  const mark = async () => Number((await redis.ask((commands) => commands.get(changes))) ?? 0);

  return {
    mark,
    async get(sandboxId) {
      const text = await redis.ask((commands) => commands.hGet(keyOf(sandboxId), 'route'));
      if (text != null) return routeFromText(text);
      epoch.assertWritten();
      return undefined;
    },
    async put(route) {
      const { sandboxId, revision, executionId, nodeId, expiresAtMs } = route;
      const args = [sandboxId, revision, executionId, nodeId, routeToText(route), Math.ceil(expiresAtMs)];
      return (await run(PUT, ...args)) === 1;
    },
    async remove(sandboxId, executionId) {
      return (await run(REMOVE, sandboxId, executionId)) === 1;
    },
    async reconcile(nodeId, sandboxIds, mark) {
      await run(RECONCILE, nodeId, mark, ...sandboxIds);
    },
    async watch(listener) {
      const watch = new Watch(listener);
      const end = await redis.subscribe(channel, (message) => watch.hear(message), watch.lose);
      try {
        const stored = storedRoutes(redis, keyOf('*'));
        await watch.begin(await mark(), stored, () => epoch.assertLasting());
        return end;
      } catch (error) {
        end();
        throw error;
      }
    },
  };
}

/** All that is stored: what is written or removed meanwhile may be among it, or not. */
async function* storedRoutes(redis: RedisConnection, pattern: string): AsyncGenerator<NumberedChange> {
  let cursor = '0';
  do {
    const page = await redis.ask((commands) => commands.scan(cursor, { MATCH: pattern, COUNT: SCAN_COUNT }));
    const found = await redis.ask((commands) =>
      Promise.all(page.keys.map((key) => commands.hmGet(key, ['route', 'sequence']))),
    );
    for (const [text, sequence] of found) {
      if (text == null) continue; // it has expired, or was removed
      yield { sequence: Number(sequence), change: { kind: 'put', route: routeFromText(text) } };
    }
    cursor = page.cursor;
  } while (cursor !== '0');
}

/** Puts what is stored and what is published while that is read into one order. */
class Watch {
  readonly #listener: RouteListener;
  /** Until all that is stored was told. */
  #waiting: NumberedChange[] | undefined = [];

  constructor(listener: RouteListener) {
    this.#listener = listener;
  }

  readonly lose = (error: unknown): void => this.#listener.lost(error);

  hear(message: string): void {
    let numbered: NumberedChange;
    try {
      numbered = changeFromMessage(message);
    } catch (error) {
      this.lose(error);
      return;
    }
    if (this.#waiting) this.#waiting.push(numbered);
    else this.#tell(numbered);
  }

  /**
   * @param mark of a moment between the first message that can be heard and the look at what is stored
   * @param assertWhole throws if what is stored is not all that there is
   */
  async begin(
    mark: number,
    stored: AsyncIterable<NumberedChange>,
    assertWhole: () => Promise<void>,
  ): Promise<void> {
    /** By sandbox: the change that was told last. */
    const told = new Map<string, number>();
    for await (const { sequence, change } of stored) {
      const id = sandboxOf(change);
      // A scan may give a key twice.
      if ((told.get(id) ?? -1) >= sequence) continue;
      told.set(id, sequence);
      this.#listener.changed(change);
    }
    await assertWhole();
    for (const { sequence, change } of this.#waiting ?? []) {
      if ((told.get(sandboxOf(change)) ?? -1) < sequence) this.#listener.changed(change);
    }
    this.#listener.reached?.(Math.max(mark, this.#waiting?.at(-1)?.sequence ?? 0));
    this.#waiting = undefined;
  }

  /** The server publishes changes in their order. */
  #tell({ sequence, change }: NumberedChange): void {
    this.#listener.changed(change);
    this.#listener.reached?.(sequence);
  }
}

function sandboxOf(change: NumberedChange['change']): string {
  return change.kind === 'put' ? change.route.sandboxId : change.sandboxId;
}
