import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { sharedSandbox } from './sandbox.ts';

const sandbox = sharedSandbox();
const md5 = (text: string) => createHash('md5').update(text).digest('hex');

describe('output while a command runs', () => {
  it('comes to the callbacks before the command ends', async () => {
    const { commands, files } = sandbox.current;
    const told: string[] = [];
    const result = await commands.run(
      'echo first; echo wrong >&2; until [ -e go ]; do sleep 0.02; done; echo last',
      {
        onStdout: async (text) => {
          told.push(`out ${text}`);
          if (text.includes('first')) await files.write('/home/user/go', '');
        },
        onStderr: (text) => {
          told.push(`err ${text}`);
        },
      },
    );
    expect(told.toSorted()).toEqual(['err wrong\n', 'out first\n', 'out last\n']);
    expect(result).toMatchObject({ stdout: 'first\nlast\n', stderr: 'wrong\n' });
  });

  it('collects in the handle of a command in the background', async () => {
    const handle = await sandbox.current.commands.run('echo a; echo b >&2', { background: true });
    expect(handle.pid).toBeGreaterThan(0);
    const result = await handle.wait();
    expect(result).toEqual({ exitCode: 0, stdout: 'a\n', stderr: 'b\n', error: undefined });
    expect(handle).toMatchObject(result);
  });

  it('without a newline is not held back', async () => {
    const { commands, files } = sandbox.current;
    await commands.run('printf prompt; until [ -e answered ]; do sleep 0.02; done', {
      onStdout: async (text) => {
        if (text === 'prompt') await files.write('/home/user/answered', '');
      },
    });
    expect(await files.exists('/home/user/answered')).toBe(true);
  });
});

describe('much output', () => {
  it('of 10 MB comes whole and in order', async () => {
    const command = 'seq 1 1400000 | head -c 10000000 | tee copy';
    const { stdout } = await sandbox.current.commands.run(command);
    expect(stdout).toHaveLength(10_000_000);
    const { stdout: sum } = await sandbox.current.commands.run('md5sum < copy; rm copy');
    expect(sum).toBe(`${md5(stdout)}  -\n`);
  });

  it('on both pipes at once is kept apart', async () => {
    const write = (text: string, fd: number) => `yes ${text} | head -c 1000000 >&${fd}`;
    const { stdout, stderr } = await sandbox.current.commands.run(
      `${write('out', 1)} & ${write('err', 2)}; wait`,
    );
    expect(stdout).toBe('out\n'.repeat(250_000));
    expect(stderr).toBe('err\n'.repeat(250_000));
  });

  it('waits for a reader that is slow', async () => {
    let seen = 0;
    const { stdout } = await sandbox.current.commands.run('head -c 3000000 /dev/zero | tr "\\0" z', {
      onStdout: async (text) => {
        seen += text.length;
        await new Promise((done) => setTimeout(done, 2));
      },
    });
    expect(seen).toBe(3_000_000);
    expect(stdout).toBe('z'.repeat(3_000_000));
  });

  it('of a program that is cut off by its reader ends it with SIGPIPE', async () => {
    const { stdout } = await sandbox.current.commands.run('yes | head -n 1; echo "$PIPESTATUS"');
    expect(stdout).toBe('y\n141\n');
  });
});

describe('output that is not plain text', () => {
  it('puts letters together that were written in parts', async () => {
    // 🏝 is four bytes; each comes in a write of its own.
    const { stdout } = await sandbox.current.commands.run(
      `for byte in '\\360' '\\237' '\\217' '\\235'; do printf "$byte"; sleep 0.05; done`,
    );
    expect(stdout).toBe('🏝');
  });

  it('keeps letters whole across the chunks that output is sent in', async () => {
    const { stdout } = await sandbox.current.commands.run(
      `python3 -c 'print("x" + "üñ🏝漢" * 50000, end="")'`,
    );
    expect(stdout).toBe(`x${'üñ🏝漢'.repeat(50_000)}`);
  });

  it('shows bytes that are no text as the replacement character, and does not stop', async () => {
    const { stdout } = await sandbox.current.commands.run(`printf 'a\\377\\376b\\0c\\r\\n\\033[1md'`);
    expect(stdout).toBe('a\uFFFD\uFFFDb\0c\r\n\u001b[1md');
  });

  it('ends with the replacement character if a letter was not finished', async () => {
    expect((await sandbox.current.commands.run(`printf 'ok\\360\\237'`)).stdout).toBe('ok\uFFFD');
  });

  it('may be nothing at all', async () => {
    expect(await sandbox.current.commands.run('true')).toMatchObject({ stdout: '', stderr: '', exitCode: 0 });
  });
});
