import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { type RouteChange, routeToWire, type WatchableRoutes } from '@islet/catalog';
import { edgeProto } from '@islet/contracts';

type Message = edgeProto.WatchRoutesResponse;

/** Changes that an edge may lag behind before its watch is cut off: it begins anew. */
const QUEUE_LIMIT = 100_000;

/** How long an edge hears nothing, ms: at most, and at least however short it asks for. */
const HEARTBEAT_MS = { longest: 20_000, shortest: 1_000 };

const message = (event: Message['event']): Message => create(edgeProto.WatchRoutesResponseSchema, { event });

const HEARTBEAT = message({
  case: 'heartbeat',
  value: create(edgeProto.WatchRoutesResponse_HeartbeatSchema),
});
const COMPLETE = message({ case: 'complete', value: create(edgeProto.WatchRoutesResponse_CompleteSchema) });

function toMessage(change: RouteChange): Message {
  if (change.kind === 'put') return message({ case: 'put', value: routeToWire(change.route) });
  const { sandboxId, executionId } = change;
  const value = create(edgeProto.WatchRoutesResponse_RemovedRouteSchema, { sandboxId, executionId });
  return message({ case: 'removed', value });
}

/**
 * A watch of the routes as a stream.
 * @param heartbeatMs asked for; 0: the longest
 * @throws ConnectError if the watch breaks off, or its reader lags too far behind
 */
export async function* watchStream(
  routes: WatchableRoutes,
  heartbeatMs: number,
  signal: AbortSignal,
): AsyncGenerator<Message> {
  const queue = new MessageQueue();
  const everyMs = Math.max(
    HEARTBEAT_MS.shortest,
    Math.min(heartbeatMs || HEARTBEAT_MS.longest, HEARTBEAT_MS.longest),
  );
  const heart = setInterval(() => queue.push(HEARTBEAT), everyMs);
  const abort = () => queue.end();
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  const watching = routes
    .watch({ changed: (change) => queue.push(toMessage(change)), lost: (error) => queue.fail(error) })
    .then((end) => {
      queue.complete();
      return end;
    });
  watching.catch((error: unknown) => queue.fail(error));
  try {
    yield* queue;
  } finally {
    clearInterval(heart);
    signal.removeEventListener('abort', abort);
    watching.then((end) => end()).catch(() => undefined);
  }
}

/** What is said, until it is read. */
class MessageQueue implements AsyncIterable<Message> {
  #messages: Message[] = [];
  #wake: () => void = () => undefined;
  #end: { error?: ConnectError } | undefined;
  /** What is there at the start may be any number. */
  #most = Number.POSITIVE_INFINITY;

  /** All that was there at the start is said. */
  complete(): void {
    this.push(COMPLETE);
    this.#most = this.#messages.length + QUEUE_LIMIT;
  }

  push(said: Message): void {
    if (this.#messages.length >= this.#most) {
      this.fail(new ConnectError('the watch of the routes lags too far behind', Code.ResourceExhausted));
    }
    if (this.#end) return;
    this.#messages.push(said);
    this.#wake();
  }

  fail(cause: unknown): void {
    this.#end ??= { error: ConnectError.from(cause, Code.Unavailable) };
    this.#wake();
  }

  end(): void {
    this.#end ??= {};
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Message> {
    for (;;) {
      const messages = this.#messages;
      this.#messages = [];
      yield* messages;
      if (this.#messages.length > 0) continue;
      if (this.#end?.error) throw this.#end.error;
      if (this.#end) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
