import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { Sandbox } from 'e2b';
import { expect } from 'vitest';
import { until } from '../setup/until.ts';

const PORT = 8000;

/** Counts, in an answer without an end. */
const SERVER = `
import http.server, time
class Counting(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        count = 0
        while True:
            count += 1
            self.wfile.write(b'%d\\n' % count)
            time.sleep(0.1)
http.server.ThreadingHTTPServer(('', ${PORT}), Counting).serve_forever()
`;

/** What counts, line by line, in something that stays open. */
class Count {
  #last = 0;
  #end: unknown;

  readonly hear = (text: string): void => {
    this.#last = Number(text.trim().split('\n').at(-1));
  };

  readonly lose = (error: unknown): void => {
    this.#end = error;
  };

  async goesOn(): Promise<void> {
    const seen = this.#last;
    await expect.poll(() => this.#end ?? this.#last).toBeGreaterThan(seen + 3);
  }
}

export interface OpenStreams {
  /** @throws AssertionError if one has ended, or stands still */
  goOn(): Promise<unknown>;
  end(): Promise<void>;
}

/** A command's output, and an answer from a sandbox's port, that go on and on. */
export async function openStreams(sandbox: Sandbox, sandboxUrl: string): Promise<OpenStreams> {
  await sandbox.files.write('/home/user/counting.py', SERVER);
  await sandbox.commands.run('python3 counting.py', { background: true, timeoutMs: 0 });
  const open = () => openAnswer(sandbox, sandboxUrl);
  const answer = await until('the port answers', 60_000, open, () => true);
  const output = new Count();
  const command = await sandbox.commands.run('i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done', {
    background: true,
    timeoutMs: 0,
    onStdout: output.hear,
  });
  command.wait().catch(output.lose);
  return {
    goOn: () => Promise.all([answer.count.goesOn(), output.goesOn()]),
    async end() {
      answer.end();
      await command.kill();
    },
  };
}

async function openAnswer(
  { sandboxId }: Sandbox,
  sandboxUrl: string,
): Promise<{ count: Count; end(): void }> {
  const headers = { 'E2b-Sandbox-Id': sandboxId, 'E2b-Sandbox-Port': String(PORT) };
  const asked = request(sandboxUrl, { headers });
  const count = new Count();
  asked.on('error', count.lose).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  if (answer.statusCode !== 200) throw new Error(`the edge answered ${answer.statusCode}`);
  answer.setEncoding('utf8').on('data', count.hear).on('error', count.lose).on('end', count.lose);
  return { count, end: () => asked.destroy() };
}
