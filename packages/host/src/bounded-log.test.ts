import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { expect, it } from 'vitest';
import { BoundedLog } from './bounded-log.ts';

it('keeps the beginning of what a program says without end, and does not stop it', () => {
  const log = BoundedLog.open('test', 4096);
  try {
    expect(log.text()).toBe('');
    const flood = 'i=0; while [ $i -lt 2000 ]; do echo "line $i"; i=$((i+1)); done; echo over >&3';
    const stdio = ['ignore', log.descriptor, log.descriptor, 'pipe'] as const;
    const { output } = spawnSync('sh', ['-c', flood], { stdio: [...stdio] });
    expect(String(output[3])).toBe('over\n');
    expect(log.text()).toMatch(/^line 0\nline 1\n/);
    expect(log.text().length).toBeLessThanOrEqual(4096);
    // Nor by other means.
    for (const grow of ['truncate -s 1G', 'fallocate -l 1G', 'dd if=/dev/zero bs=1M count=1 seek=1 of=']) {
      const path = `/proc/${process.pid}/fd/${log.descriptor}`;
      const command = grow.endsWith('=') ? `${grow}${path} conv=notrunc` : `${grow} ${path}`;
      expect(spawnSync('sh', ['-c', command]).status, command).not.toBe(0);
    }
    expect(statSync(`/proc/self/fd/${log.descriptor}`).size).toBe(4096);
  } finally {
    log.close();
  }
});
