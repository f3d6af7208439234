import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import { type CheckResult, ok, warning } from '../check.ts';

export interface InternetFacts {
  host: string;
  /** Why the name did not resolve; undefined if it did. */
  dnsError: string | undefined;
  /** Why no connection came about; undefined if one did. */
  connectError: string | undefined;
  /** The host is a proxy, which packages come through. */
  isProxy?: boolean;
}

/** What the base template's packages come from, and are fetched through. */
export interface Way {
  host: string;
  port: number;
  isProxy: boolean;
}

/** The way to a mirror, as apt goes: through the proxy that `environment` names. */
export function wayTo(mirror: string, environment: NodeJS.ProcessEnv): Way {
  const { protocol } = new URL(mirror);
  const proxy = environment[protocol === 'https:' ? 'https_proxy' : 'http_proxy'];
  const isProxy = proxy !== undefined && URL.canParse(proxy);
  const to = new URL(isProxy ? proxy : mirror);
  return { host: to.hostname, port: Number(to.port) || (to.protocol === 'https:' ? 443 : 80), isProxy };
}

const CONNECT_TIMEOUT_MS = 4000;

/** Reaches for the server that the base template's packages come from. */
export async function probeInternet({ host, port, isProxy }: Way): Promise<InternetFacts> {
  let address: string;
  try {
    address = (await lookup(host, { family: 4 })).address;
  } catch (error) {
    return { host, dnsError: (error as Error).message, connectError: undefined, isProxy };
  }
  const connectError = await new Promise<string | undefined>((resolve) => {
    const socket = connect({ host: address, port, timeout: CONNECT_TIMEOUT_MS });
    const end = (reason: string | undefined) => {
      socket.destroy();
      resolve(reason);
    };
    socket.once('connect', () => end(undefined));
    socket.once('timeout', () => end(`no answer within ${CONNECT_TIMEOUT_MS / 1000} s`));
    socket.once('error', (error) => end(error.message));
  });
  return { host, dnsError: undefined, connectError, isProxy };
}

/** Never more than a warning: Islet runs without, once the base template is built. */
export function evaluateInternet({ host, dnsError, connectError, isProxy }: InternetFacts): CheckResult[] {
  const dns =
    dnsError === undefined
      ? ok('dns', 'DNS', `${host} resolves`)
      : warning('dns', 'DNS', {
          detail: `${host} does not resolve: ${dnsError}`,
          cause: 'no resolver in /etc/resolv.conf answers, so sandboxes cannot look names up either',
          fix: 'check /etc/resolv.conf, or name resolvers for sandboxes with --dns',
        });
  if (dnsError !== undefined) return [dns];
  const internet =
    connectError === undefined
      ? ok(
          'internet',
          'Internet',
          isProxy
            ? `the proxy ${host} is reachable; packages and images come through it, sandboxes do without`
            : `${host} is reachable`,
        )
      : warning('internet', 'Internet', {
          detail: `${host} is not reachable: ${connectError}`,
          cause: 'the base template cannot be built, and sandboxes have no internet',
          fix: 'open outgoing connections, or name a mirror that is reachable with --debian-mirror',
        });
  return [dns, internet];
}
