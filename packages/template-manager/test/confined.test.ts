import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cgroups, userOf } from '@islet/host';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cells, openCells } from '../src/host/cells.ts';
import { type Confinement, confined, runConfined } from '../src/host/confined.ts';
import { behindGate } from '../src/images/behind-gate.ts';
import { parseReference } from '../src/images/reference.ts';
import { openRegistryGate, type RegistryGate } from '../src/images/registry-gate.ts';
import { createRegistryPolicy } from '../src/images/registry-policy.ts';
import { fetchConfinement } from '../src/images/skopeo.ts';
import { unpackConfinement } from '../src/images/umoci.ts';

const signal = new AbortController().signal;
const puller = userOf('puller');
const PACE = { bytes: 1, everyMs: 60_000 };

/** As if skopeo or umoci were another's: what a program in their place can do. */
describe.runIf(process.getuid?.() === 0)('a program that reads images', () => {
  let dir: string;
  let cells: Cells;
  let gate: RegistryGate;
  let neighbour: Server;
  let port: number;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-confined-'));
    cells = await openCells(`confined-${process.pid}`);
    for (const name of ['pull', 'rootfs', 'secrets']) await mkdir(join(dir, name));
    await chown(join(dir, 'pull'), puller, puller);
    await writeFile(join(dir, 'secrets/key'), 'secret');
    const policy = createRegistryPolicy({ allow: [], ownNetworks: true });
    gate = await openRegistryGate({ policy, proxy: undefined, gatesDir: dir, pace: PACE });
    neighbour = createServer((socket) => socket.end('reached')).listen(0, '127.0.0.1');
    await once(neighbour, 'listening');
    port = (neighbour.address() as AddressInfo).port;
    createServer()
      .listen({ path: `\0islet-test-${process.pid}` })
      .unref();
  });
  afterAll(async () => {
    await gate[Symbol.asyncDispose]();
    neighbour.close();
    await new Cgroups().remove(`islet-confined-${process.pid}`);
    await rm(dir, { recursive: true });
  });

  /** Each as what takes its place is run. */
  const kinds: [string, () => Confinement, (script: string) => string[]][] = [
    [
      'in the place of skopeo',
      () => fetchConfinement({ dir: join(dir, 'pull'), gate }),
      (script) =>
        behindGate(gate, parseReference('registry.example/x'), { node: '/islet-node', uid: puller }, [
          ...['bash', '-c', script],
        ]),
    ],
    [
      'in the place of umoci',
      () => unpackConfinement({ pullDir: join(dir, 'pull'), target: join(dir, 'rootfs') }),
      (script) => ['bash', '-c', script],
    ],
  ];

  const run = async (confinement: Confinement, command: string[]) => {
    const lines: string[] = [];
    await runConfined({ ...confinement, command, onLine: (line) => lines.push(line), cells, signal });
    return lines;
  };

  /** Every line is a try; it prints what it got only if it got something. */
  const tries = () => `
    cat /etc/shadow 2>/dev/null
    ls -d /root /var /home /run /sys /tmp /boot ${dir} 2>/dev/null
    cat ${dir}/secrets/key /proc/1/root${dir}/secrets/key 2>/dev/null
    for path in / /usr /dev /etc /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do
      if [ -d $path ]; then path=$path/tried; fi
      (exec 3>>$path) 2>/dev/null && echo "can write $path"
    done
    (exec 3<>/dev/tcp/127.0.0.1/${port}) 2>/dev/null && echo 'reached the machine'
    (exec 3<>/dev/tcp/169.254.169.254/80) 2>/dev/null && echo 'reached the network'
    mount -t tmpfs none /pull 2>/dev/null && echo mounted
    unshare --net true 2>/dev/null && echo 'made a namespace'
    chroot / true 2>/dev/null && echo 'changed its root'
    kill -0 ${process.pid} 2>/dev/null && echo 'found the one that started it'
    grep -q islet-test-${process.pid} /proc/net/unix && echo 'saw a socket of the machine'
    grep -E '^NoNewPrivs:.*0$' /proc/self/status
    true`;

  it.each(kinds)('%s finds nothing of the machine', async (_, confinement, command) => {
    expect(await run(confinement(), command(tries()))).toEqual([]);
    expect(await readdir(join(dir, 'rootfs'))).toEqual([]);
  });

  it('in the place of skopeo is nobody, and reaches what the gate lets it', async () => {
    const [, confinement, command] = kinds[0] ?? expect.fail();
    const identity = "id -u; id -G; grep -E '^Cap(Prm|Eff):' /proc/self/status | tr -d 0";
    expect(await run(confinement(), command(identity))).toEqual([
      ...[String(puller), String(puller), 'CapPrm:\t', 'CapEff:\t'],
    ]);
    const ask = (target: string) => `
      port=\${HTTPS_PROXY##*:}; exec 3<>/dev/tcp/127.0.0.1/\${port%/}
      printf 'CONNECT ${target} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' >&3; head -n 1 <&3`;
    gate.traffic.allow(1024);
    const reached = await run(confinement(), command(ask(`127.0.0.1:${port}`)));
    expect(reached.join()).toContain(' 200 ');
    expect((await run(confinement(), command(ask('169.254.169.254:80')))).join()).toContain(' 403 ');
  });

  it('in the place of umoci makes no device that can be opened', async () => {
    const [, confinement, command] = kinds[1] ?? expect.fail();
    const script =
      'mknod /rootfs/null c 1 3 && (echo x > /rootfs/null) 2>/dev/null && echo opened; rm -f /rootfs/null';
    expect(await run(confinement(), command(script))).toEqual([]);
  });

  it.each(kinds)('%s has bounds on memory, processes and files', async (_, confinement, command) => {
    const greedy = command('head -c 700M /dev/zero | tail -c 700M | wc -c');
    expect(await run(confinement(), greedy).catch(() => ['ended'])).not.toContain(String(700 * 1024 ** 2));
    const forks = 'for (1..400) { my $pid = fork; last if !defined $pid; sleep 60 if !$pid; $n++ } print $n';
    const [started] = await run(confinement(), command(`perl -e '${forks}'`));
    expect(Number(started)).toBeGreaterThan(0);
    expect(Number(started)).toBeLessThan(256);
    const folder = Object.keys(confinement().view.writable)[0];
    const large = command(`head -c 2M /dev/zero > ${folder}/large`);
    await expect(run({ ...confinement(), fileBytes: 1024 ** 2 }, large)).rejects.toThrow();
    expect((await readFile(join(dir, folder === '/pull' ? 'pull' : 'rootfs', 'large'))).length).toBe(
      1024 ** 2,
    );
  });

  it.each(kinds)('%s ends with the one that started it', async (_, confinement, command) => {
    const marker = `600.${Math.floor(Math.random() * 1e6)}`;
    const words = confined(confinement(), command(`sleep ${marker} & setsid sleep ${marker}; wait`));
    const starter = `require('node:child_process').spawn(${JSON.stringify(words[0])}, ${JSON.stringify(words.slice(1))}, { stdio: 'inherit' })`;
    const parent = spawn(process.execPath, ['-e', starter], { stdio: 'inherit' });
    await expect.poll(() => runningWith(marker)).toBeGreaterThan(1);
    parent.kill('SIGKILL');
    await expect.poll(() => runningWith(marker)).toBe(0);
  });
});

async function runningWith(marker: string): Promise<number> {
  const commands = await Promise.all(
    (await readdir('/proc'))
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  return commands.filter((command) => command.startsWith('sleep') && command.includes(marker)).length;
}
