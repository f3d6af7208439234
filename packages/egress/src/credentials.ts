import type { GatedSandbox } from './policy.ts';

/** What rules name by placeholders, asked for when a request needs it. Never kept by the gateway longer than its caller says. */
export interface Credentials {
  /** The current version of a team's secret; undefined if there is none of that name. */
  secret(teamId: string, name: string): Promise<{ value: string; version: number } | undefined>;
  /** A new identity token of a sandbox; undefined if it has none of that name. */
  token(sandbox: GatedSandbox, name: string): Promise<string | undefined>;
  /**
   * A certificate by which sandboxes take the gateway for a domain that has a rule, for a key that only the gateway has: PEM.
   * @param publicKey SPKI, PEM
   */
  certificate(domain: string, publicKey: string): Promise<string | undefined>;
}
