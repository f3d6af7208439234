import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { Sandbox, Template } from 'e2b';
import { expect, inject, it } from 'vitest';
import { sharedBuilder } from '../templates/builder.ts';

const access = inject('islet');
const MIB = 1024 ** 2;
/** Longest wait of a neighbour for an answer, ms; unbounded work on Islet's thread took minutes. */
const PATIENCE_MS = 60_000;

const team = sharedBuilder('hostile-builds');

async function isHealthy(): Promise<boolean> {
  const answer = await fetch(`${access.apiUrl}/health`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  return answer.ok;
}

/** Asks until the work is over. @returns how often there was an answer */
async function whileHealthy(work: Promise<unknown>): Promise<number> {
  let over = false;
  const end = work.finally(() => {
    over = true;
  });
  let answers = 0;
  for (; !over; answers++) expect(await isHealthy()).toBe(true);
  await end;
  return answers;
}

/** A gzip archive of one file of zeros. */
function archive(contentMib: number, behind: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write('zeros');
  header.write((contentMib * MIB).toString(8).padStart(11, '0'), 124);
  header.write('0', 156);
  header.write('ustar\u000000', 257);
  header.fill(' ', 148, 156);
  header.write(`${header.reduce((sum, byte) => sum + byte, 0).toString(8)}\0`, 148);
  const zeros = Buffer.alloc(contentMib * MIB);
  return gzipSync(Buffer.concat([header, zeros, Buffer.alloc(1024), behind]), { level: 1 });
}

it('keeps nobody waiting for archives that unpack to a thousandfold', async () => {
  const { api } = team.current;
  const { body: built } = await api.call<{ templateID: string }>('POST', '/v3/templates', {
    body: { name: 'hostile-uploads' },
  });
  const upload = async (content: Buffer) => {
    const hash = createHash('sha256').update(content).digest('hex');
    const { body } = await api.call<{ url: string }>('GET', `/templates/${built.templateID}/files/${hash}`);
    const answer = await fetch(body.url, { method: 'PUT', body: content });
    return { status: answer.status, body: (await answer.json()) as { message?: string } };
  };
  const tail = upload(archive(0, Buffer.alloc(64 * MIB)));
  await whileHealthy(tail);
  expect(await tail).toMatchObject({
    status: 400,
    body: { message: expect.stringContaining('padding after its end') },
  });
  const large = upload(archive(512, Buffer.from('x')));
  const sandbox = Sandbox.create({ ...access, timeoutMs: PATIENCE_MS });
  expect(await whileHealthy(large)).toBeGreaterThan(3);
  expect(await large).toMatchObject({
    status: 400,
    body: { message: expect.stringContaining('data after its end') },
  });
  await (await sandbox).kill();
});

it('keeps nobody waiting for what a build writes', { tags: 'long' }, async () => {
  const log: string[] = [];
  const template = Template()
    .fromBaseImage()
    .runCmd("head -c 16M /dev/zero | tr '\\0' '\\n'")
    .runCmd("head -c 256K /dev/zero | tr '\\0' '\\r'; echo shown")
    .runCmd("head -c 8M /dev/zero | tr '\\0' x; echo; echo said >&2");
  await whileHealthy(
    Template.build(template, 'hostile-output', {
      ...team.current.options,
      ...{ cpuCount: 1, memoryMB: 512 },
      onBuildLogs: ({ message }) => log.push(message),
    }),
  );
  expect(log.filter((line) => line.includes('more lines'))).toHaveLength(1);
  expect(log.at(-1)).toMatch(/^Build finished/);
});
