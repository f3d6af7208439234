import { describe, expect, it } from 'vitest';
import { sharedSandbox } from '../sdk/sandbox.ts';
import { VIRTUAL_MACHINES } from '../setup/isolation.ts';

const shared = sharedSandbox();
const run = async (command: string) => (await shared.current.commands.run(command)).stdout.trim();

describe('what a sandbox sees of its limits', () => {
  it('are its own memory and CPUs, not the host’s', async () => {
    const { memoryMB, cpuCount } = await shared.current.getInfo();
    const [total, used, free] = (await run("free -m | awk '/^Mem:/ { print $2, $3, $4 }'"))
      .split(' ')
      .map(Number) as [number, number, number];
    // A virtual machine's kernel takes a part before it counts.
    if (VIRTUAL_MACHINES) expect(total).toBeGreaterThan(memoryMB * 0.85);
    else expect(total).toBe(memoryMB);
    expect(used).toBeGreaterThan(0);
    expect(used + free).toBeLessThanOrEqual(memoryMB + 1);
    expect(await run('nproc')).toBe(String(cpuCount));
    expect(await run('grep -c ^processor /proc/cpuinfo')).toBe(String(cpuCount));
  });

  it('is half of the memory in /dev/shm, with ENOSPC at its end', async () => {
    const half = Number(await run('df --block-size=1 --output=size /dev/shm | tail -n 1'));
    const total = Number(await run("free -b | awk '/^Mem:/ { print $2 }'"));
    expect(Math.abs(half / total - 0.5)).toBeLessThan(0.01);
    const said = await run(
      'head -c 1G /dev/zero 2>&1 > /dev/shm/big; stat -c %s /dev/shm/big; rm /dev/shm/big',
    );
    expect(said).toMatch(/No space left on device\n/);
    expect(said.split('\n').at(-1)).toBe(String(half));
  });

  it('are the open files of each process, with EMFILE at their end', async () => {
    const script = `python3 -c '
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))
files = []
try:
    while True:
        files.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    print(len(files) > 900, error.strerror)
'`;
    expect(Number(await run('ulimit -n'))).toBe(1_048_576);
    expect(await run(script)).toBe('True Too many open files');
  });
});
