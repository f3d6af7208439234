import type { Interceptor, Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { traceCalls } from '@islet/telemetry';

/** The way to services of another process that ask for the token. */
export function transportTo(baseUrl: string, token: string): Transport {
  const withToken: Interceptor = (next) => (request) => {
    request.header.set('Authorization', `Bearer ${token}`);
    return next(request);
  };
  return createConnectTransport({ baseUrl, httpVersion: '1.1', interceptors: [traceCalls, withToken] });
}
