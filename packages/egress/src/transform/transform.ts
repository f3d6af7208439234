import type { Socket } from 'node:net';
import type { Credentials } from '../credentials.ts';
import type { GatedSandbox, TransformRule } from '../policy.ts';
import { Destination } from './destination.ts';
import type { UsedSecret } from './header-values.ts';
import { Leaves } from './leaves.ts';
import { RememberedSecrets } from './remembered-secrets.ts';
import { ServedConnection } from './served-connection.ts';

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
  /** Told of each request that secrets were put into, before it is sent. */
  onUse?: (secrets: readonly UsedSecret[]) => void;
  /** Aborts when the policy has changed and this connection is cut. */
  signal: AbortSignal;
}

/** Serves a connection until it ends. What it rejects with is logged, and the connection is cut. */
export type Transform = (connection: TransformedConnection) => Promise<void>;

export interface TransformOptions {
  /** Authorities that destinations are verified by, PEM; absent: those that Node trusts. */
  trusted?: string | undefined;
}

/** Puts headers on requests: TLS of the sandbox ends here, and begins anew to whoever proves to be the domain. */
export function createTransform({ trusted }: TransformOptions = {}): Transform {
  const leaves = new Leaves(Date.now);
  const remembered = new RememberedSecrets(() => performance.now());
  return async (connection) => {
    const { client, head, kind, rule, dial, credentials, signal } = connection;
    const isTls = kind === 'tls';
    using destination = new Destination({ domain: rule.domain, tls: isTls, dial, trusted, signal });
    const cut = () => client.destroy();
    signal.addEventListener('abort', cut, { once: true });
    try {
      const served = new ServedConnection(connection, destination, {
        secret: (teamId, name) => remembered.get(credentials, teamId, name),
        token: (sandbox, name) => credentials.token(sandbox, name),
      });
      const context = isTls ? await leaves.get(credentials, rule.domain) : undefined;
      client.unshift(head);
      await served.serve(context);
    } finally {
      signal.removeEventListener('abort', cut);
      client.destroy();
    }
  };
}
