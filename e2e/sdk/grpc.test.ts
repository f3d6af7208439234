import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ChannelCredentials, type Client, Metadata } from '@grpc/grpc-js';
import { build } from 'esbuild';
import { afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { EchoClient, type EchoMethods } from '../../packages/client-proxy/test/grpc-service.ts';
import { until } from '../setup/until.ts';
import { sharedSandbox } from './sandbox.ts';

const { trust } = inject('islet');
const PORT = 50_051;
const SERVICE = resolve(import.meta.dirname, '../../packages/client-proxy/test/grpc-service.ts');

const sandbox = sharedSandbox();
beforeAll(async () => {
  const { outputFiles } = await build({
    stdin: {
      contents: `import { grpcServer } from ${JSON.stringify(SERVICE)};
        grpcServer('0.0.0.0', ${PORT}).then(() => console.log('listening'));`,
      resolveDir: import.meta.dirname,
    },
    ...{ bundle: true, platform: 'node', format: 'cjs', target: 'node20', write: false },
  });
  const { commands, files } = sandbox.current;
  await files.write('grpc.cjs', outputFiles[0]?.text ?? '');
  const server = await commands.run('node grpc.cjs', { background: true, timeoutMs: 0 });
  await until(
    'the server listens',
    60_000,
    () => ({ said: server.stdout, complained: server.stderr }),
    ({ said }) => said.includes('listening'),
  );
});

describe.each(['h2c', 'TLS'])('gRPC with a server in a sandbox, over %s', (way) => {
  let client: EchoMethods & Client;
  afterEach(() => client.close());

  async function connect(): Promise<void> {
    const credentials =
      way === 'TLS'
        ? ChannelCredentials.createSsl(await readFile(trust.authorityFile))
        : ChannelCredentials.createInsecure();
    client = new EchoClient(sandbox.current.getHost(PORT), credentials) as unknown as typeof client;
  }

  it('answers a call, with its metadata behind it', async () => {
    await connect();
    const outcome = await new Promise((resolve, reject) => {
      let answer = '';
      const call = client.once(Buffer.from('hello'), new Metadata(), (error, value) => {
        if (error) reject(error);
        else answer = String(value);
      });
      call.on('status', ({ metadata }) => resolve({ answer, behind: metadata.get('x-behind') }));
    });
    expect(outcome).toEqual({ answer: '<hello>', behind: ['it'] });
  });

  it('tells why a call failed', async () => {
    await connect();
    const failure = await new Promise((resolve) =>
      client.once(Buffer.from('fail'), new Metadata(), (error) => resolve(error)),
    );
    expect(failure).toMatchObject({ code: 9, details: 'not now: ü' });
  });

  it('streams both ways at once', async () => {
    await connect();
    const talk = client.talk();
    const heard: string[] = [];
    talk.on('data', (message: Buffer) => heard.push(message.toString()));
    const ended = new Promise((resolve, reject) => talk.on('end', resolve).on('error', reject));
    talk.write(Buffer.from('one'));
    await expect.poll(() => heard).toEqual(['re: one']);
    talk.write(Buffer.from('two'));
    await expect.poll(() => heard).toEqual(['re: one', 're: two']);
    talk.end();
    await ended;
  });

  it('streams what is larger than its windows', async () => {
    await connect();
    const collect = await new Promise((resolve, reject) => {
      const call = client.collect(new Metadata(), (error, size) =>
        error ? reject(error) : resolve(String(size)),
      );
      for (let piece = 0; piece < 64; piece++) call.write(Buffer.alloc(64 * 1024));
      call.end();
    });
    expect(collect).toBe(String(4 * 1024 * 1024));
    let size = 0;
    for await (const piece of client.repeat(Buffer.from('64 65536'))) size += (piece as Buffer).length;
    expect(size).toBe(4 * 1024 * 1024);
  });
});
