import type { Upstream } from '../upstream/pool.ts';
import type { HeadChanges } from './request-head.ts';

/** Everything that was decided about a request before it is sent on. */
export interface Destination {
  upstream: Upstream;
  /** The port in the sandbox, also where `upstream` is its node's proxy. */
  sandboxPort: number;
  hop: 'sandbox' | 'node';
  /** Times a connection is tried before the port counts as closed. */
  attempts: number;
  /**
   * `any`: every request may use a kept connection, since the server closes idle ones later than we do.
   * `repeatable`: only requests that can be sent again if the server closed it meanwhile.
   */
  reuse: 'any' | 'repeatable';
  changes: HeadChanges;
  /** Requests and tunnels at once in this run, if it may have less than others. */
  connectionLimit: number | undefined;
}
