import { once } from 'node:events';
import { connect } from 'node:net';
import { Sandbox, TimeoutError } from 'e2b';
import { describe, expect, it } from 'vitest';
import { connection, newSandbox, rejection } from './sandbox.ts';

/** Says something every hundredth of a second. */
const TALK = 'i=0; while :; do echo $((i = i + 1)); sleep 0.01; done';
const GONE = 'The sandbox was killed or reached its end of life while the request was in flight';

const ENDS: [string, (sandbox: Sandbox) => Promise<unknown>][] = [
  ['is killed', (sandbox) => sandbox.kill()],
  ['is at the end of its time', (sandbox) => Sandbox.setTimeout(sandbox.sandboxId, 0, connection)],
  ['is paused', (sandbox) => sandbox.pause()],
];

describe.each(ENDS)('a sandbox that %s', (_, end) => {
  it('ends the streams of its commands and terminals, and the SDK says why', async () => {
    const sandbox = await newSandbox({ lifecycle: { onTimeout: 'kill', autoResume: false } });
    try {
      const command = await sandbox.commands.run(TALK, { background: true, timeoutMs: 0 });
      const terminal = await sandbox.pty.create({ cols: 80, rows: 24, timeoutMs: 0, onData: () => {} });
      const failed = [command, terminal].map((handle) => rejection(handle.wait()));
      await expect.poll(() => command.stdout).toContain('10\n');
      await end(sandbox);
      for (const error of await Promise.all(failed)) {
        expect(error).toBeInstanceOf(TimeoutError);
        expect((error as Error).message).toContain(GONE);
      }
      expect(command.stdout).toMatch(/^1\n2\n3\n/);
    } finally {
      await Sandbox.kill(sandbox.sandboxId, connection);
    }
  });

  it('ends a connection behind what was sent, and without a reset', async () => {
    const sandbox = await newSandbox({ lifecycle: { onTimeout: 'kill', autoResume: false } });
    try {
      const events = `require('node:http').createServer((_, response) => setInterval(() => response.write('event'), 5))
        .listen(3000, '0.0.0.0', () => console.log('listening'));`;
      await sandbox.files.write('/home/user/events.js', events);
      const server = await sandbox.commands.run('node events.js', { background: true, timeoutMs: 0 });
      server.wait().catch(() => undefined);
      await expect.poll(() => server.stdout).toContain('listening');
      const { hostname, port } = new URL(connection.sandboxUrl);
      const client = connect(Number(port), hostname);
      let received = '';
      client.setEncoding('latin1').on('data', (text: string) => {
        received += text;
      });
      client.write(`GET / HTTP/1.1\r\nHost: ${sandbox.getHost(3000)}\r\n\r\n`);
      await expect.poll(() => received).toMatch(/event[\s\S]*event/);
      const ended = once(client, 'end');
      await end(sandbox);
      await ended;
      // Whole pieces, and not the last one, which would say that this was all.
      expect(received).toMatch(/\r\n\r\n(?:[0-9a-f]+\r\n(?:event)+\r\n)+$/);
    } finally {
      await Sandbox.kill(sandbox.sandboxId, connection);
    }
  });
});
