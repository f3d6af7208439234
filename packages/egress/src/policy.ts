/** What is put on requests to one domain. */
export interface TransformRule {
  /** Lower-case; never a pattern. */
  domain: string;
  /** Names and values as they were sent; values may hold placeholders. */
  headers: Record<string, string>;
}

/** The customer's SOCKS5 proxy. */
export interface EgressProxy {
  /** `host:port`, lower-case. */
  address: string;
  username?: string | undefined;
  password?: string | undefined;
}

/** What the owner of a sandbox lets it reach. */
export interface EgressPolicy {
  /** False: everything is denied that `allowOut` does not allow, whatever `denyOut` says. */
  allowInternetAccess?: boolean | undefined;
  /** IPv4 addresses, CIDRs, and names: exact, `*.example.com` or `*`. */
  allowOut: string[];
  /** IPv4 addresses and CIDRs. */
  denyOut: string[];
  /** Everything is allowed that is not always denied, and recorded, so that rules can be suggested. */
  learning: boolean;
  rules: TransformRule[];
  proxy?: EgressProxy | undefined;
}

/** A sandbox whose TCP goes by the gateway. */
export interface GatedSandbox {
  /** IPv4 address of its network slot, by which the gateway knows it. */
  address: string;
  teamId: string;
  sandboxId: string;
  executionId: string;
  templateId: string;
  buildId: string;
  /** Identity tokens that its rules may name. */
  workloadTokens: { name: string; audience: string }[];
  policy: EgressPolicy;
}
