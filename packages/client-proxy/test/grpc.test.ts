import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { ChannelCredentials, type Client, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type Route, RouteTable } from '@islet/catalog';
import { createSandboxProxy, type SandboxProxy } from '@islet/proxy';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificateFor, Edge, sandboxRoute } from './edge.ts';
import { EchoClient, type EchoMethods, grpcServer } from './grpc-service.ts';

const ADDRESS = '127.0.0.32';
const DOMAIN = 'sandboxes.test';
const TOKEN = 'e'.repeat(64);

describe.each([
  { way: 'over h2c', secure: false, hops: 1 },
  { way: 'over TLS', secure: true, hops: 1 },
  { way: 'over h2c, through the node', secure: false, hops: 2 },
])('gRPC $way', ({ secure, hops }) => {
  let edge: Edge;
  let node: SandboxProxy;
  let grpc: Awaited<ReturnType<typeof grpcServer>>;
  let credentials: ChannelCredentials;
  const clients: Client[] = [];
  const open = sandboxRoute(ADDRESS);
  const closed = sandboxRoute(ADDRESS, { trafficAccessToken: TOKEN, ingress: { publicTraffic: false } });
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the mask's own placeholder
  const masked = sandboxRoute(ADDRESS, { ingress: { maskRequestHost: 'app.test:${PORT}' } });
  const waking = sandboxRoute(ADDRESS, { state: 'paused', wakes: true });
  const ending = sandboxRoute(ADDRESS);

  beforeAll(async () => {
    const { authority, certificate } = await certificateFor(DOMAIN);
    credentials = secure
      ? ChannelCredentials.createSsl(Buffer.from(authority.cert))
      : ChannelCredentials.createInsecure();
    const routes = new RouteTable(Date.now);
    node = createSandboxProxy({ routes, logger: createLogger({ service: 'node-test', level: 'silent' }) });
    await new Promise<void>((resolve) => node.server.listen(0, '127.0.0.1', resolve));
    const proxyAddress = `127.0.0.1:${(node.server.address() as AddressInfo).port}`;
    const placed = (route: Route) => (hops === 1 ? route : { ...route, proxyAddress });
    const awake: Route = { ...placed(waking), state: 'running', executionId: 'run-awake', revision: 2 };
    edge = await Edge.start({ certificate, wake: async () => ({ kind: 'resumed', route: awake }) });
    for (const route of [open, closed, masked, waking, ending]) await edge.routes.put(placed(route));
    for (const route of [open, closed, masked, ending, { ...awake, proxyAddress: undefined }]) {
      routes.changed({ kind: 'put', route });
    }
    grpc = await grpcServer(ADDRESS);
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    await edge[Symbol.asyncDispose]();
    await node.close();
    grpc.server.forceShutdown();
  });

  function clientOf(route: Route, port = grpc.port): EchoMethods {
    const name = `${port}-${route.sandboxId}.${DOMAIN}`;
    const client = new EchoClient(`127.0.0.1:${edge.port}`, credentials, {
      'grpc.default_authority': name,
      'grpc.ssl_target_name_override': name,
      'grpc.enable_retries': 0,
    });
    clients.push(client);
    return client as unknown as EchoMethods;
  }

  /** A unary call's answer and its trailers. */
  function ask(
    client: EchoMethods,
    text: string,
    metadata = new Metadata(),
  ): Promise<{ answer: string; trailers: Metadata }> {
    return new Promise((resolve, reject) => {
      let answer = '';
      const call = client.once(Buffer.from(text), metadata, (error, value) => {
        if (error) reject(error);
        else answer = String(value);
      });
      call.on('status', (end) => {
        if (end.code === status.OK) resolve({ answer, trailers: end.metadata });
      });
    });
  }

  it('answers calls, with metadata both ways', async () => {
    const metadata = new Metadata();
    metadata.set('x-before', 'a');
    metadata.set('x-any-bin', Buffer.from([0, 13, 10, 200]));
    const { answer, trailers } = await ask(clientOf(open), 'hello', metadata);
    expect(answer).toBe('<hello>');
    expect(trailers.get('x-behind')).toEqual(['it']);
    const head = grpc.calls.heads.at(-1);
    expect(head?.get('x-before')).toEqual(['a']);
    expect(head?.get('x-any-bin')).toEqual([Buffer.from([0, 13, 10, 200])]);
  });

  it('passes the status of a call that fails on, which is trailers alone', async () => {
    const failure: ServiceError = await ask(clientOf(open), 'fail').then(
      () => expect.unreachable(),
      (error) => error,
    );
    expect(failure).toMatchObject({ code: status.FAILED_PRECONDITION, details: 'not now: ü' });
    expect(failure.metadata.get('why-bin')).toEqual([Buffer.from([0, 255, 10, 13])]);
  });

  it('answers what is not implemented by its status', async () => {
    const failure = await new Promise<ServiceError | null>((resolve) => {
      const client = clientOf(open) as unknown as Client;
      const same = (value: Buffer) => value;
      client.makeUnaryRequest('/test.Echo/Nothing', same, same, Buffer.alloc(0), (error) => resolve(error));
    });
    expect(failure?.code).toBe(status.UNIMPLEMENTED);
  });

  it('serves many calls of one connection at once', async () => {
    const client = clientOf(open);
    const texts = Array.from({ length: 150 }, (_, i) => `call ${i}`);
    const answers = await Promise.all(texts.map((text) => ask(client, text)));
    expect(answers.map(({ answer }) => answer)).toEqual(texts.map((text) => `<${text}>`));
  });

  it('streams up', async () => {
    const client = clientOf(open);
    const size = await new Promise((resolve, reject) => {
      const call = client.collect(new Metadata(), (error, answer) =>
        error ? reject(error) : resolve(String(answer)),
      );
      for (let i = 0; i < 64; i++) call.write(Buffer.alloc(64 * 1024));
      call.end();
    });
    expect(size).toBe(String(64 * 64 * 1024));
  });

  it('streams down, no faster than the client reads', async () => {
    const call = clientOf(open).repeat(Buffer.from('200 65536'));
    const ended = new Promise<number>((resolve) => call.on('status', ({ code }) => resolve(code)));
    let received = 0;
    for await (const piece of call as AsyncIterable<Buffer>) {
      expect([piece.length, piece[0]]).toEqual([65536, (received + 1) % 256]);
      received++;
      if (received < 5) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(received).toBe(200);
    expect(await ended).toBe(status.OK);
  });

  it('streams both ways by turns, and ends each way by itself', async () => {
    const call = clientOf(open).talk();
    for (const text of ['one', 'two']) {
      call.write(Buffer.from(text));
      expect(String((await once(call, 'data'))[0])).toBe(`re: ${text}`);
    }
    call.end();
    const [end] = await once(call.resume(), 'status');
    expect(end.code).toBe(status.OK);
  });

  it('tells the server that a client gave a call up', async () => {
    const before = grpc.calls.cancelled;
    const call = clientOf(open).talk();
    call.on('error', () => {});
    call.write(Buffer.from('x'));
    await once(call, 'data');
    call.cancel();
    await expect.poll(() => grpc.calls.cancelled).toBe(before + 1);
  });

  it('asks for the traffic token', async () => {
    await expect(ask(clientOf(closed), 'x')).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    const metadata = new Metadata();
    metadata.set('e2b-traffic-access-token', TOKEN);
    expect((await ask(clientOf(closed), 'x', metadata)).answer).toBe('<x>');
  });

  it('masks the host', async () => {
    await ask(clientOf(masked), 'x');
    const head = grpc.calls.heads.at(-1);
    expect(head?.get('x-forwarded-host')).toEqual([`${grpc.port}-${masked.sandboxId}.${DOMAIN}`]);
  });

  it('wakes a paused sandbox', async () => {
    expect((await ask(clientOf(waking), 'good morning')).answer).toBe('<good morning>');
  });

  it('is unavailable where no one listens, and where no sandbox is', async () => {
    await expect(ask(clientOf(open, 1), 'x')).rejects.toMatchObject({ code: status.UNAVAILABLE });
    await expect(ask(clientOf(sandboxRoute(ADDRESS)), 'x')).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
  });

  it('breaks a call off when its sandbox ends', async () => {
    const call = clientOf(ending).talk();
    call.write(Buffer.from('x'));
    await once(call, 'data');
    const ended = new Promise<ServiceError>((resolve) => call.on('error', resolve));
    call.resume();
    await edge.remove(ending);
    expect((await ended).code).not.toBe(status.OK);
    await expect(ask(clientOf(ending), 'x')).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });
});
