import { once } from 'node:events';
import { type FileHandle, mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sendFile } from './download.ts';

let dir: string;
let long: string;
let server: Server;
let sent = Promise.resolve();
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-download-'));
  long = join(dir, 'long');
  await writeFile(long, '');
  await truncate(long, 50_000_000);
  server = createServer((request, response) => {
    sent = sendFile(long, request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(async () => {
  server.close();
  await rm(dir, { recursive: true });
});

it('that is given up half way closes its own file alone', async () => {
  for (let round = 0; round < 20; round++) {
    const request = get({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await once(response, 'data');
    response.destroy();
    // Whatever is opened meanwhile gets the descriptor that was closed first.
    const opened: FileHandle[] = [];
    let over = false;
    const end = sent.finally(() => {
      over = true;
    });
    while (!over || opened.length < 20) opened.push(await open(long));
    await end;
    for (const file of opened) expect((await file.stat()).size).toBe(50_000_000);
    await Promise.all(opened.map((file) => file.close()));
  }
});
