import type { Readable, Writable } from 'node:stream';

/**
 * Hands all that `source` gives to `target` and ends it, waiting if it is slow. Unlike a pipeline it never destroys
 * `source`: a request whose body is refused must stay alive to be answered.
 * Resolves early if `target` is destroyed; whoever destroyed it knows why.
 */
export async function feed(source: Readable, target: Writable): Promise<void> {
  for await (const chunk of source.iterator({ destroyOnReturn: false })) {
    if (target.destroyed) return;
    if (!target.write(chunk)) await drained(target);
  }
  if (!target.destroyed) target.end();
}

function drained(target: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of EVENTS) target.off(event, done);
      resolve();
    };
    for (const event of EVENTS) target.on(event, done);
    // A writable that was destroyed before says nothing any more.
    if (target.destroyed) done();
  });
}

const EVENTS = ['drain', 'error', 'close'] as const;
