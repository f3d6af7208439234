import type { Socket } from 'node:net';
import type { Credentials } from '../credentials.ts';
import type { GatedSandbox, TransformRule } from '../policy.ts';

/** A connection to a domain that has a rule, which the policy allows. */
export interface TransformedConnection {
  /** The sandbox's side, paused. Whoever takes the connection over ends it. */
  client: Socket;
  /** What was read of it: the whole ClientHello, or the head of its first request. */
  head: Buffer;
  kind: 'tls' | 'http';
  sandbox: GatedSandbox;
  rule: TransformRule;
  /**
   * Connects to the rule's domain at the connection's port: to an address that the gateway resolved itself, or by the
   * owner's proxy.
   * @throws DialError
   */
  dial(): Promise<Socket>;
  credentials: Credentials;
  /** Aborts when the policy has changed and this connection is cut. */
  signal: AbortSignal;
}

/** Serves a connection until it ends. What it rejects with is logged, and the connection is cut. */
export type Transform = (connection: TransformedConnection) => Promise<void>;

/** No header can be put on requests yet, and none may go without it: the connection is refused. */
export const transform: Transform = async ({ client }) => {
  client.resetAndDestroy();
};
