import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RawClient, RawServer, TestFront } from './front.ts';

/** How the "sandbox" answers. */
let answer: (socket: Socket) => void = () => {};
let front: TestFront;
let sandbox: RawServer;

beforeAll(async () => {
  front = await TestFront.start();
  sandbox = await RawServer.start((socket) => answer(socket));
});
afterAll(async () => {
  await front[Symbol.asyncDispose]();
  await sandbox[Symbol.asyncDispose]();
});

const FINAL = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const hasFinal = (bytes: Buffer) =>
  /HTTP\/1\.1 [2-5]\d\d [\s\S]*\r\n\r\n[\s\S]+/.test(bytes.toString('latin1'));

/** All that a client gets, up to a final answer or the end of the connection. */
async function ask(fields = '', version = '1.1'): Promise<string> {
  using client = await RawClient.connect(front.port);
  client.socket.write(`GET / HTTP/${version}\r\nHost: ${sandbox.port}\r\n${fields}\r\n`);
  return (await client.until(hasFinal)).toString('latin1');
}

/** Writes the same again and again, as fast as it is taken; fulfilled with the bytes written when the connection ends. */
function flood(socket: Socket, text: string): Promise<number> {
  const block = Buffer.from(text.repeat(Math.ceil(64_000 / text.length)));
  let written = 0;
  const pump = (): void => {
    while (!socket.destroyed) {
      written += block.length;
      if (!socket.write(block)) return;
    }
  };
  socket.on('drain', pump);
  const closed = new Promise<number>((resolve) => socket.once('close', () => resolve(written)));
  pump();
  return closed;
}

describe('interim answers', () => {
  it.each(['103 Early Hints', '102 Processing', '199 Other'])('are passed on: %s', async (status) => {
    answer = (socket) =>
      socket.write(`HTTP/1.1 ${status}\r\nLink: </a>\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n${FINAL}`);
    const bytes = await ask();
    expect(bytes.startsWith(`HTTP/1.1 ${status}\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n`)).toBe(true);
  });

  it('with 100 are passed on to those only who asked for it', async () => {
    answer = (socket) => socket.write(`HTTP/1.1 100 Continue\r\n\r\n${FINAL}`);
    expect(await ask('Expect: 100-continue\r\nContent-Length: 0\r\n')).toMatch(
      /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /,
    );
    expect(await ask()).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('are kept from clients of HTTP/1.0, which know none', async () => {
    answer = (socket) => socket.write(`HTTP/1.1 103 E\r\nLink: x\r\n\r\n${FINAL}`);
    expect(await ask('', '1.0')).toMatch(/^HTTP\/1\.1 200 /);
  });

  it.each([
    ['a switch of protocol', 'HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'],
    ['one that ends the connection', 'HTTP/1.1 103 E\r\nConnection: close\r\n\r\n'],
    ['one with a body', 'HTTP/1.1 103 E\r\nContent-Length: 3\r\n\r\nabc'],
    ['one that is larger than heads may be', `HTTP/1.1 103 E\r\nLink: ${'a'.repeat(70_000)}\r\n\r\n`],
  ])('end with 502 if there is %s among them', async (_, text) => {
    answer = (socket) => socket.write(`${text}${FINAL}`);
    expect(await ask()).toMatch(/HTTP\/1\.1 502 /);
  });

  it('behind the final one are not passed on, and the connection to the sandbox is closed', async () => {
    let closed = false;
    answer = (socket) => {
      socket.once('close', () => {
        closed = true;
      });
      socket.write(`${FINAL}HTTP/1.1 103 E\r\nLink: x\r\n\r\n`);
    };
    expect(await ask()).not.toContain('103');
    await expect.poll(() => closed).toBe(true);
  });

  describe.each([
    ['small ones', 'HTTP/1.1 102 Processing\r\n\r\n'],
    ['large ones', `HTTP/1.1 103 Early Hints\r\nLink: ${'a'.repeat(4000)}\r\n\r\n`],
    ['one that does not end', 'Link: a\r\n'],
  ])('without end: %s', (_, text) => {
    let written: Promise<number>;
    beforeAll(() => {
      answer = (socket) => {
        if (text.startsWith('Link')) socket.write('HTTP/1.1 103 Early Hints\r\n');
        written = flood(socket, text);
      };
    });

    it('end with 502 and a closed connection', async () => {
      const bytes = await ask();
      expect(bytes).toMatch(/HTTP\/1\.1 502 /);
      expect(bytes.match(/HTTP\/1\.1 10[23] /g)?.length ?? 0).toBeLessThanOrEqual(100);
      // What the kernel holds for a connection is written, too.
      expect(await written).toBeLessThan(16 * 1024 * 1024);
    });

    it('are not kept for a client that does not read', async () => {
      using client = await RawClient.connect(front.port);
      client.socket.pause();
      const arrived = new Promise<void>((resolve) => {
        const before = answer;
        answer = (socket) => {
          before(socket);
          resolve();
        };
      });
      client.get(sandbox.port, '/');
      await arrived;
      expect(await written).toBeLessThan(16 * 1024 * 1024);
    });
  });
});

it('gives places of a run back, whatever becomes of a request', async () => {
  await using narrow = await TestFront.start({ total: 100, perRun: 1 });
  const statusOf = async (fields: string): Promise<string> => {
    using client = await RawClient.connect(narrow.port);
    client.get(sandbox.port, '/', fields);
    return (await client.until(hasFinal)).toString('latin1', 9, 12);
  };
  for (const [text, status] of [
    [FINAL, '200'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx', '200'],
    ['no HTTP\r\n\r\n', '502'],
  ] as const) {
    answer = (socket) => socket.end(text);
    for (const fields of ['', 'Connection: Upgrade\r\nUpgrade: x\r\n', 'Connection: close\r\n', '']) {
      // The place is free a moment later than the client has its answer.
      await expect.poll(() => statusOf(fields)).toMatch(new RegExp(`^(?:${status})?$`));
    }
  }
});
