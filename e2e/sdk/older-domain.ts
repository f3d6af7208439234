import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { join, resolve } from 'node:path';
import { createServer } from 'node:tls';
import { inject } from 'vitest';

/**
 * SDKs before E2B_API_URL reach everything below one domain over TLS: the API as `api.<domain>`, sandboxes as
 * `<port>-<id>.<domain>`. The edge answers TLS for the latter itself; for the former an operator of such SDKs has a
 * proxy that ends TLS in front of the API. This is one.
 */
export interface OlderDomain extends AsyncDisposable {
  /** For the SDK's `domain` option or E2B_DOMAIN. */
  domain: string;
}

export async function serveOlderDomain(): Promise<OlderDomain> {
  const { apiUrl, trust } = inject('islet');
  // Both in one file, in the data directory of the edge: for `api.<domain>` as for sandboxes.
  const edgeDir = inject('cluster')?.edgeDataDir ?? resolve(trust.authorityFile, '../..');
  const pair = await readFile(join(edgeDir, 'secrets/certificate'));
  const { hostname, port } = new URL(apiUrl);
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer({ cert: pair, key: pair }, (outside) => {
    const inside = connect(Number(port), hostname);
    for (const socket of [outside, inside]) {
      sockets.add(socket);
      socket.on('error', () => {
        outside.destroy();
        inside.destroy();
      });
      socket.on('close', () => sockets.delete(socket));
    }
    outside.pipe(inside).pipe(outside);
  });
  await new Promise<void>((listening) => server.listen(0, 'localhost', listening));
  return {
    domain: `islet.localhost:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}
