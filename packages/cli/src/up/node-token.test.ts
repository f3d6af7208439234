import { createServer, type Server } from 'node:http';
import { Code, createClient } from '@connectrpc/connect';
import { connectNodeAdapter, createConnectTransport } from '@connectrpc/connect-node';
import { orchestratorProto } from '@islet/contracts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { closeServer, listen } from './listen.ts';
import { requireNodeToken } from './node-token.ts';

let server: Server;
let port: number;
let calls = 0;
beforeAll(async () => {
  server = createServer(
    connectNodeAdapter({
      interceptors: [requireNodeToken('secret')],
      routes: (router) =>
        router.service(orchestratorProto.Orchestrator, {
          listSandboxes: () => {
            calls++;
            return {};
          },
        }),
    }),
  );
  port = await listen(server, '127.0.0.1', 0);
});
afterAll(() => closeServer(server));

const client = () =>
  createClient(
    orchestratorProto.Orchestrator,
    createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: '1.1' }),
  );

it.each([undefined, 'Bearer wrong', 'secret', 'Bearer', 'Bearer secret more'])(
  'a call with %j is refused before it does anything',
  async (authorization) => {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    await expect(client().listSandboxes({}, { headers })).rejects.toMatchObject({
      code: Code.Unauthenticated,
    });
    expect(calls).toBe(0);
  },
);

it('a call with the token passes', async () => {
  await client().listSandboxes({}, { headers: { authorization: 'Bearer secret' } });
  expect(calls).toBe(1);
});
