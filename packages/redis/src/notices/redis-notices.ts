import { createMemoryNotices, type Notices, type Topic } from '@islet/catalog';
import { pauseFor } from '@islet/contracts';
import type { RedisConnection } from '../connection.ts';

/** Before the next try to hear a channel that broke off, ms. */
const AGAIN_MS = 1_000;

export interface RedisNotices extends Notices, AsyncDisposable {}

/** Notices that any number of control planes share. While the server is away none are heard; then all topics count as changed. */
export function createRedisNotices(redis: RedisConnection): RedisNotices {
  const here = createMemoryNotices();
  const stop = new AbortController();
  const following = new Map<Topic, Promise<void>>();
  const channelOf = (topic: Topic) => redis.key('notices', topic);

  const follow = async (topic: Topic) => {
    const { signal } = stop;
    while (!signal.aborted) {
      try {
        await hear(topic, signal);
      } catch {
        // It is not there, or was: what it told meanwhile is unknown.
      }
      await pauseFor(AGAIN_MS, signal);
    }
  };
  /** Until it breaks off. */
  const hear = async (topic: Topic, signal: AbortSignal) => {
    let lost: () => void = () => undefined;
    const broken = new Promise<void>((resolve) => {
      lost = resolve;
    });
    const end = await redis.subscribe(channelOf(topic), () => void here.tell(topic), lost);
    signal.addEventListener('abort', lost, { once: true });
    await here.tell(topic);
    await broken;
    signal.removeEventListener('abort', lost);
    end();
  };

  return {
    async tell(topic) {
      const asked = redis.ask((commands) => commands.publish(channelOf(topic), ''));
      // This control plane knows of the change without the server.
      await asked.catch(() => here.tell(topic));
    },
    watch(topic, listener) {
      if (!following.has(topic)) following.set(topic, follow(topic));
      return here.watch(topic, listener);
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all(following.values());
    },
  };
}
