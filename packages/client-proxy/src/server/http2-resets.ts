import { constants, type Http2Session, type Http2Stream } from 'node:http2';

/** Streams that a client may reset at once, and then each second: what nghttp2 allows from its release 1.57 on. */
const RESETS_AT_ONCE = 1_000;
const RESETS_PER_SECOND = 33;

/**
 * Ends a connection whose client resets streams as fast as it opens them: each costs it nothing, and the server the work of
 * a request, while no limit of streams that are open at once is ever met. Node.js before 20.20 does not do this by itself.
 */
export function limitResets(session: Http2Session): void {
  let ending = false;
  let left = RESETS_AT_ONCE;
  let countedAtMs = performance.now();
  const count = (stream: Http2Stream): void => {
    if (!stream.aborted || ending) return;
    const nowMs = performance.now();
    left = Math.min(RESETS_AT_ONCE, left + ((nowMs - countedAtMs) / 1000) * RESETS_PER_SECOND) - 1;
    countedAtMs = nowMs;
    if (left >= 0) return;
    ending = true;
    // Not at once: this runs while nghttp2 reads the frames of the session, and Node.js crashes if it is ended in between.
    setImmediate(() => {
      if (session.destroyed) return;
      session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      session.destroy();
    });
  };
  session.on('stream', (stream: Http2Stream) => stream.once('close', () => count(stream)));
}
