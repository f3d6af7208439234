import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { CommandError, openHostExec } from './exec.ts';

describe('host commands', () => {
  const host = openHostExec();
  const { exec } = host;
  afterAll(() => host.close());

  const failure = async (running: Promise<string>): Promise<CommandError> => {
    const error = await running.then(
      (output) => new Error(`succeeded with ${output}`),
      (reason: unknown) => reason,
    );
    if (error instanceof CommandError) return error;
    throw error;
  };
  const openMemoryFiles = () =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith('/memfd:std');
      } catch {
        return false; // the listing itself
      }
    });

  it('gives what a command writes to stdout, and nothing of stderr', async () => {
    expect(await exec('sh', ['-c', 'echo out; echo err >&2'])).toBe('out\n');
  });

  it('passes arguments and input through as they are', async () => {
    expect(await exec('printf', ['%s|', "it's", '$HOME', '', 'é'])).toBe("it's|$HOME||é|");
    const input = 'line ü\n'.repeat(100_000);
    expect(await exec('cat', [], { input })).toBe(input);
  });

  it('gives an empty stdin if there is no input', async () => {
    expect(await exec('cat', [])).toBe('');
  });

  it('says how a command failed and what it said itself', async () => {
    const error = await failure(exec('sh', ['-c', 'echo because >&2; exit 3']));
    expect(error).toMatchObject({ exitCode: 3, output: 'because' });
    expect(error.message).toContain('exit status 3: because');
    const killed = await failure(exec('sh', ['-c', 'kill -TERM $$']));
    expect(killed).toMatchObject({ exitCode: null });
    expect(killed.message).toContain('SIGTERM');
  });

  it('names a program that is not there, if it was looked for, and what helps', async () => {
    const { message } = await failure(exec('no-such-program', []));
    expect(message).toContain(`the program "no-such-program" is not in ${process.env.PATH}`);
    expect(message).toContain('./islet doctor');
  });

  it('kills a command whose time is over or whose caller gave up', async () => {
    const { message } = await failure(exec('sleep', ['60'], { timeoutMs: 50 }));
    expect(message).toContain('sleep 60: not done after 0.05 s, and killed');
    const controller = new AbortController();
    const running = failure(exec('sleep', ['60'], { signal: controller.signal }));
    controller.abort(new Error('enough'));
    expect((await running).cause).toEqual(new Error('enough'));
    expect((await failure(exec('true', [], { signal: controller.signal }))).cause).toEqual(
      new Error('enough'),
    );
  });

  it('does not wait for a daemon that a command leaves behind', async () => {
    const pid = Number(await exec('sh', ['-c', 'sleep 60 & echo $!']));
    // It throws if there is no such process.
    process.kill(pid);
  });

  it('runs many at once, and mixes none of them up', async () => {
    const numbers = Array.from({ length: 40 }, (_, index) => String(index));
    const answers = await Promise.all(numbers.map((number) => exec('sh', ['-c', `echo ${number}`])));
    expect(answers).toEqual(numbers.map((number) => `${number}\n`));
  });

  it("gives commands default signal handling and none of another one's streams", async () => {
    const [ignored, blocked] = (await exec('sh', ['-c', 'grep -E "Sig(Ign|Blk)" /proc/self/status']))
      .split('\n')
      .map((line) => line.split('\t')[1]);
    expect([ignored, blocked]).toEqual(['0'.repeat(16), '0'.repeat(16)]);
    const other = exec('sleep', ['0.2'], { input: '' });
    const links = await exec('sh', ['-c', 'readlink /proc/$$/fd/* || true'], { input: '' });
    expect(links.match(/memfd:\w+/g)).toEqual(['memfd:stdin', 'memfd:stdout', 'memfd:stderr']);
    await other;
  });

  it('leaves no descriptor and no child behind', async () => {
    await exec('true', []);
    await failure(exec('false', []));
    await failure(exec('no-such-program', []));
    expect(openMemoryFiles()).toEqual([]);
    const children = () => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();
    await expect.poll(children).toBe('');
  });
});
