import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { FirecrackerApi } from './api.ts';

it('takes no answer without end from a Firecracker that was taken over', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'islet-api-'));
  const endless = function* () {
    for (;;) yield 'x'.repeat(10_000);
  };
  const server = createServer(({ url }, response) => {
    if (url === '/version') response.end('{}');
    else Readable.from(endless()).pipe(response);
  }).listen(join(dir, 'socket'));
  await once(server, 'listening');
  const api = await FirecrackerApi.connect(join(dir, 'socket'), 10_000, () => true);
  await expect(api.setState('Paused')).rejects.toThrow('PATCH /vm: an answer without end');
  await api.close();
  server.closeAllConnections();
  server.close();
  await rm(dir, { recursive: true });
});
