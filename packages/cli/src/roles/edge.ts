import { hostname } from 'node:os';
import { type Certificate, LOCAL_DOMAIN } from '@islet/certificates';
import type { UpConfig } from '../up/config.ts';
import { urlHost } from '../up/listen.ts';
import type { EdgeOptions, ProxyThread } from '../up/proxies/proxy-thread.ts';
import { webAccessOf } from '../up/web-access.ts';

export interface EdgeRoleOptions
  extends Pick<EdgeOptions, 'routes' | 'wake' | 'findSigner' | 'lookUp' | 'links'> {
  config: Pick<UpConfig, 'host' | 'proxyPort' | 'domain' | 'allowHost'>;
  /** Where it is opened. */
  proxies: ProxyThread;
  /** What it serves TLS with. */
  certificate: Certificate;
}

/** The way into sandboxes, open to clients. */
export interface EdgeRole extends AsyncDisposable {
  port: number;
  url: string;
}

/** The name that sandboxes are reached under, with the edge's port if it has no name of its own. */
export function sandboxDomain({ domain }: Pick<UpConfig, 'domain'>, proxyPort: number): string {
  return domain ?? `${LOCAL_DOMAIN}:${proxyPort}`;
}

/** The edge of an installation. */
export async function openEdge({ config, proxies, ...options }: EdgeRoleOptions): Promise<EdgeRole> {
  const { host, proxyPort } = config;
  const { hosts } = webAccessOf({ ...config, allowOrigin: [] }, hostname());
  const port = await proxies.openEdge({ ...options, address: { host, port: proxyPort }, hosts });
  return {
    port,
    url: `http://${urlHost(host)}:${port}`,
    [Symbol.asyncDispose]: () => proxies.close('edge'),
  };
}
