import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { followRoutes } from './follow.ts';
import type { RouteChange, WatchableRoutes } from './routes.ts';
import { RouteTable, type RouteView } from './table.ts';

/** What is sent from one thread to another, with the calls of `RouteSink`. */
type Message = { kind: 'begin' } | { kind: 'complete' } | RouteChange;

/**
 * Sends what the routes hold, and each change, to the table at the other end of `port`. Gives back the way to end it, which
 * closes the port.
 * @param onLost see `followRoutes`
 */
export function feedRoutes(
  routes: WatchableRoutes,
  port: MessagePort,
  onLost: (error: unknown) => void,
): Disposable {
  const send = (message: Message) => port.postMessage(message);
  const following = followRoutes(
    routes,
    {
      begin: () => send({ kind: 'begin' }),
      changed: send,
      complete: () => send({ kind: 'complete' }),
    },
    onLost,
  );
  return {
    [Symbol.dispose]: () => {
      following[Symbol.dispose]();
      port.close();
    },
  };
}

/** A table at the other end of `feedRoutes`. */
export interface FedRoutes extends RouteView, Disposable {}

/**
 * The other end of `feedRoutes`. What was told before a question was asked is in its answer, whatever both threads do: a
 * change is in the port's queue when the call that makes it returns, and each question empties the queue first. So whoever
 * heard of a sandbox through the fed routes finds it here, and nobody waits for an acknowledgement.
 * @param now Unix milliseconds
 */
export function openFedRoutes(port: MessagePort, now: () => number): FedRoutes {
  const table = new RouteTable(now);
  const take = (message: Message) => {
    if (message.kind === 'begin') table.begin();
    else if (message.kind === 'complete') table.complete();
    else table.changed(message);
  };
  const catchUp = () => {
    for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) take(next.message);
  };
  // The queue does not grow while nobody asks.
  port.on('message', take);
  return {
    find(sandboxId) {
      catchUp();
      return table.find(sandboxId);
    },
    until(...asked) {
      catchUp();
      return table.until(...asked);
    },
    observe: (listener) => table.observe(listener),
    [Symbol.dispose]: () => port.close(),
  };
}
