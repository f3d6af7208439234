import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { mapLayers } from './map-memory.ts';

// Needs root. The process is the child of a shell: see `withForeignCalls`.
it('leaves a process alone whose layers are not there', async () => {
  const shell = spawn('sh', ['-c', 'sleep 1000 & echo $!; wait'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(shell, 'exit');
  const pid = Number((await once(shell.stdout, 'data'))[0]);
  const command = () => readFile(`/proc/${pid}/comm`, 'utf8');
  try {
    await expect.poll(command).toBe('sleep\n');
    const mapping = { pid, regions: [{ start: 0, page: 0, count: 1 }] };
    const runs = [{ page: 0, count: 1, layer: 4_000_000_000, at: 0 }];
    await expect(mapLayers(mapping, runs)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await command()).toBe('sleep\n');
  } finally {
    process.kill(pid, 'SIGKILL');
    await ended;
  }
});
