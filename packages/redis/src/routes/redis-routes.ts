import type { RouteListener, Routes } from '@islet/catalog';
import { defineScript, type RedisConnection } from '../connection.ts';
import { changeFromMessage, type NumberedChange, routeFromText, routeToText } from './stored-route.ts';

/** KEYS: the route, the count of changes. ARGV: the channel, revision, run, text, expiry in Unix ms. */
const PUT = defineScript(`
local revision = redis.call('HGET', KEYS[1], 'revision')
if revision and tonumber(revision) > tonumber(ARGV[2]) then return 0 end
local sequence = redis.call('INCR', KEYS[2])
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'run', ARGV[3], 'route', ARGV[4], 'sequence', sequence)
redis.call('PEXPIREAT', KEYS[1], ARGV[5])
redis.call('PUBLISH', ARGV[1], cjson.encode({ sequence = sequence, route = ARGV[4] }))
return 1
`);

/** KEYS: as above. ARGV: the channel, the sandbox, its run. */
const REMOVE = defineScript(`
if redis.call('HGET', KEYS[1], 'run') ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[1])
local sequence = redis.call('INCR', KEYS[2])
redis.call('PUBLISH', ARGV[1], cjson.encode({ sequence = sequence, sandboxId = ARGV[2], executionId = ARGV[3] }))
return 1
`);

/** Keys that the server looks at in one step when a watch begins. */
const SCAN_COUNT = 1_000;

/** Routes that any number of control planes and proxies share. Each is a hash of its own, which expires with it. */
export function createRedisRoutes(redis: RedisConnection): Routes {
  const channel = redis.key('routes');
  const sequence = redis.key('routes', 'changes');
  const keyOf = (sandboxId: string) => redis.key('route', sandboxId);

  return {
    async get(sandboxId) {
      const text = await redis.ask((commands) => commands.hGet(keyOf(sandboxId), 'route'));
      return text == null ? undefined : routeFromText(text);
    },
    async put(route) {
      const { sandboxId, revision, executionId, expiresAtMs } = route;
      const args = [channel, revision, executionId, routeToText(route), Math.ceil(expiresAtMs)];
      return (await redis.run(PUT, [keyOf(sandboxId), sequence], args)) === 1;
    },
    async remove(sandboxId, executionId) {
      const args = [channel, sandboxId, executionId];
      return (await redis.run(REMOVE, [keyOf(sandboxId), sequence], args)) === 1;
    },
    async watch(listener) {
      const watch = new Watch(listener);
      const end = await redis.subscribe(channel, (message) => watch.hear(message), watch.lose);
      try {
        await watch.begin(storedRoutes(redis, keyOf('*')));
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
    else this.#listener.changed(numbered.change);
  }

  async begin(stored: AsyncIterable<NumberedChange>): Promise<void> {
    /** By sandbox: the change that was told last. */
    const told = new Map<string, number>();
    for await (const { sequence, change } of stored) {
      const id = sandboxOf(change);
      // A scan may give a key twice.
      if ((told.get(id) ?? -1) >= sequence) continue;
      told.set(id, sequence);
      this.#listener.changed(change);
    }
    for (const { sequence, change } of this.#waiting ?? []) {
      if ((told.get(sandboxOf(change)) ?? -1) < sequence) this.#listener.changed(change);
    }
    this.#waiting = undefined;
  }
}

function sandboxOf(change: NumberedChange['change']): string {
  return change.kind === 'put' ? change.route.sandboxId : change.sandboxId;
}
