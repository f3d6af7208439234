import { lookup } from 'node:dns/promises';
import { isLoopbackHost } from '@islet/contracts';
import { type CheckResult, ok, warning } from '../check.ts';

const ID = 'sandbox-names';
const TITLE = 'Names of sandboxes';

export interface NameFacts {
  /** The name that was looked up. */
  name: string;
  /** What it leads to. */
  addresses: string[];
  /** Why it leads nowhere. */
  error: string | undefined;
}

/** Looks a sandbox's name up as programs of this machine do. @param domain without a port */
export async function probeSandboxNames(domain: string): Promise<NameFacts> {
  const name = `3000-ix.${domain}`;
  try {
    const found = await lookup(name, { all: true });
    return { name, addresses: found.map(({ address }) => address), error: undefined };
  } catch (error) {
    return { name, addresses: [], error: (error as Error).message };
  }
}

/** Browsers and curl know `*.localhost` by themselves; the C library asks what /etc/nsswitch.conf names. */
export function evaluateSandboxNames({ name, addresses, error }: NameFacts): CheckResult {
  const isLocal = isLoopbackHost(name);
  const foreign = isLocal ? addresses.filter((address) => !isLoopbackHost(address)) : [];
  if (addresses.length > 0 && foreign.length === 0) {
    return ok(ID, TITLE, `${name} leads to ${addresses.join(', ')}`);
  }
  const detail =
    error === undefined ? `${name} leads to ${foreign.join(', ')}` : `${name} leads nowhere: ${error}`;
  if (!isLocal) {
    return warning(ID, TITLE, {
      detail,
      cause: 'the DNS has no wildcard for the names of sandboxes below --domain',
      fix: `make a DNS record for *.${name.slice(name.indexOf('.') + 1)} that leads to this machine`,
    });
  }
  return warning(ID, TITLE, {
    detail,
    cause:
      'the C library does not know names below localhost, so Python, Java and others do not reach sandboxes by them',
    fix: 'apt-get install libnss-myhostname (./islet up does it), and see that the line "hosts:" of /etc/nsswitch.conf has myhostname before dns',
  });
}
