import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { Terminal } from './terminal.ts';

const patience = { signal: new AbortController().signal, timeoutMs: 60_000 };
const open = (script: string) => {
  const lines: string[] = [];
  const child = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'pipe'] });
  return { lines, terminal: new Terminal(child, (text) => lines.push(text)) };
};

describe('a program at a terminal of a machine', () => {
  it('is answered when it asks, and its colours are left out', async () => {
    await using terminal = open("printf '\\033[1mPassword\\033[0m: '; read word; echo got $word").terminal;
    await terminal.waitFor(/Password: $/, patience);
    terminal.type('secret\n');
    await terminal.waitFor(/got secret\n/, patience);
    expect(await terminal.end(patience)).toBe(0);
  });

  it('that ends before it says what was waited for is an error that shows what it said', async () => {
    await using terminal = open('echo no such thing >&2; exit 3').terminal;
    await expect(terminal.waitFor(/ready/, patience)).rejects.toThrow(/ended with 3:\nno such thing/);
  });

  it('that says nothing in time is one, too', async () => {
    await using terminal = open('echo almost; exec sleep 1000').terminal;
    await terminal.waitFor(/almost/, patience);
    await expect(terminal.waitFor(/ready/, { ...patience, timeoutMs: 1 })).rejects.toThrow(/almost/);
  });

  it('is not waited for after an interruption', async () => {
    await using terminal = open('exec sleep 1000').terminal;
    const signal = AbortSignal.abort(new Error('interrupted'));
    await expect(terminal.waitFor(/ready/, { ...patience, signal })).rejects.toThrow('interrupted');
  });
});
