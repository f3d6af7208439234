import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CommandError, openHostExec } from '@islet/host';
import { createLogger } from '@islet/telemetry';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Slot } from './addresses.ts';
import { slotIndices } from './commands.ts';
import { NetworkPool } from './pool.ts';
import { countConnections } from './quiet.ts';
import { type ClaimedSubnet, claimSubnet } from './subnet.ts';

const logger = createLogger({ service: 'test', level: 'silent' });

const host = openHostExec();
afterAll(() => host.close());

/** Real namespaces, links and firewall rules; needs root. */
describe('NetworkPool', () => {
  const instance = randomBytes(3).toString('hex');
  let claims: string;
  let claim: ClaimedSubnet;
  let pool: NetworkPool;

  const open = (adopted: Parameters<typeof NetworkPool.open>[1] = []) =>
    NetworkPool.open(
      {
        instance,
        subnet: claim.subnet,
        resolvers: ['8.8.8.8'],
        attachment: 'interface',
        ahead: 3,
        exec: host.exec,
        logger,
      },
      adopted,
    );
  const namespaces = async () => slotIndices(instance, await readdir('/run/netns')).sort((a, b) => a - b);
  const inside = (slot: Slot, ...command: string[]) =>
    host.exec('ip', ['netns', 'exec', slot.netns, ...command]);
  const reaches = (slot: Slot, address: string, port: number) =>
    inside(slot, 'bash', '-c', `timeout 1 bash -c 'exec 3<>/dev/tcp/${address}/${port}'`).then(
      () => true,
      (error) => {
        if (error instanceof CommandError) return false;
        throw error;
      },
    );

  beforeEach(async () => {
    claims = await mkdtemp(join(tmpdir(), 'islet-claims-'));
    claim = await claimSubnet(instance, claims, host.exec);
    pool = await open();
  });
  afterEach(async () => {
    await pool.close();
    await claim.release();
    await rm(claims, { recursive: true });
    expect(await namespaces()).toEqual([]);
    expect(await host.exec('nft', ['list', 'tables'])).not.toContain(instance);
    expect(await host.exec('ip', ['-br', 'link'])).not.toContain(instance);
  });

  it('gives slots with an address and a route, and serves a burst beyond what is ready', async () => {
    const slots = await Promise.all(Array.from({ length: 12 }, () => pool.take()));
    expect(new Set(slots.map((slot) => slot.index)).size).toBe(12);
    const slot = slots[11] as Slot;
    const routes = await host.exec('ip', ['-n', slot.netns, 'route']);
    expect(routes).toContain(`default via ${slot.hostAddress}`);
    expect(await host.exec('ip', ['-n', slot.netns, '-6', 'addr', 'show', 'dev', 'eth0'])).toBe('');
  });

  it('adds no address to a link of the host, which would have browsers cut their connections', async () => {
    const monitor = spawn('ip', ['monitor', 'address'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const heard: string[] = [];
    createInterface({ input: monitor.stdout }).on('line', (line) => heard.push(line));
    // The monitor hears all in order: once it has heard the mark again, it has heard of everything before.
    const mark = `127.${[...Buffer.from(instance, 'hex')].join('.')}/32`;
    const heardMark = async () => {
      const before = heard.length;
      const input = `addr add ${mark} dev lo\naddr del ${mark} dev lo\n`;
      await host.exec('ip', ['-batch', '-'], { input });
      return heard.slice(before).some((line) => line.includes(mark));
    };
    try {
      await expect.poll(heardMark).toBe(true);
      const slots = await Promise.all(Array.from({ length: 12 }, () => pool.take()));
      for (const slot of slots) pool.discard(slot);
      await pool.close();
      pool = await open();
      await expect.poll(heardMark).toBe(true);
    } finally {
      monitor.kill();
      await once(monitor, 'exit');
    }
    expect(heard.filter((line) => line.includes(instance))).toEqual([]);
  });

  it('gives no address out again that this host still has a connection with', async () => {
    const slot = await pool.take();
    const server = spawn('ip', [
      ...['netns', 'exec', slot.netns, 'python3', '-uc'],
      "import socket, time; s = socket.create_server(('', 80)); print('ready'); a = s.accept(); time.sleep(600)",
    ]);
    try {
      await once(createInterface({ input: server.stdout }), 'line');
      const client = connect(80, slot.sandboxAddress);
      await once(client, 'connect');
      await inside(slot, 'ip', 'link', 'set', 'eth0', 'down'); // No machine is there to hear of its end.
      client.destroy();
      await once(client, 'close');
    } finally {
      server.kill('SIGKILL');
    }
    await pool.close();
    expect(countConnections(await readFile('/proc/net/tcp', 'utf8'), slot.sandboxAddress)).toBe(1);
    pool = await open();
    const taken = await Promise.all(Array.from({ length: slot.index + 4 }, () => pool.take()));
    expect(taken.map(({ index }) => index)).not.toContain(slot.index);
  });

  it('keeps slots from the host, from each other, and from taking another address', async () => {
    const [a, b] = [await pool.take(), await pool.take()];
    const onHost = createServer().listen(0, '0.0.0.0');
    await new Promise((resolve) => onHost.once('listening', resolve));
    const { port } = onHost.address() as { port: number };
    try {
      expect(await reaches(a, a.hostAddress, port)).toBe(false);
      expect(await reaches(a, b.hostAddress, port)).toBe(false);
      expect(await reaches(a, b.sandboxAddress, 1)).toBe(false);
      // The host itself reaches a server in the slot.
      const served = new AbortController();
      const program = "require('net').createServer(s=>s.end('hi')).listen(7777,'0.0.0.0')";
      const server = host
        .exec('ip', ['netns', 'exec', b.netns, process.execPath, '-e', program], {
          signal: served.signal,
          timeoutMs: 120_000,
        })
        .catch(() => '');
      await expect
        .poll(() =>
          host.exec('bash', ['-c', `timeout 5 cat < /dev/tcp/${b.sandboxAddress}/7777`]).catch(() => ''),
        )
        .toBe('hi');
      expect(await reaches(a, b.sandboxAddress, 7777)).toBe(false);
      served.abort();
      await server;
    } finally {
      onHost.close();
    }
  });

  describe('with something out there', () => {
    /** A public address, in a namespace that the host routes to. */
    const away = `away-${instance}`;
    const PUBLIC = '93.184.215.14';
    const server = `
import socket, sys, threading
def serve(sock, text):
    while True:
        peer, _ = sock.accept()
        local = peer.getsockname()
        peer.sendall((text + " %s:%d for %s\\n" % (*local, peer.getpeername()[0])).encode())
        threading.Thread(target=lambda: (peer.recv(1), peer.close())).start()
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if sys.argv[1] == "gateway": sock.setsockopt(socket.IPPROTO_IP, 19, 1)
sock.bind((sys.argv[2], int(sys.argv[3]))); sock.listen()
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
echo.bind((sys.argv[2], int(sys.argv[3])))
def answer():
    while True:
        data, peer = echo.recvfrom(100); echo.sendto(b"echo", peer)
threading.Thread(target=answer, daemon=True).start()
print("%d" % sock.getsockname()[1], flush=True)
threading.Thread(target=serve, args=(sock, sys.argv[1]), daemon=True).start()
sys.stdin.read()`;
    const servers: ChildProcess[] = [];
    const serve = async (
      role: 'gateway' | 'server',
      address: string,
      port: number,
      prefix: string[] = [],
    ) => {
      const [program = '', ...args] = [...prefix, 'python3', '-c', server, role, address, String(port)];
      const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
      servers.push(child);
      const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
      return Number(line.toString());
    };
    beforeEach(async () => {
      await writeFile('/proc/sys/net/ipv4/ip_forward', '1');
      await host.exec('ip', ['netns', 'add', away]);
      const lines = [
        `link add v${instance} type veth peer name eth0 netns ${away}`,
        `addr add 93.184.215.13/30 dev v${instance}`,
        `link set v${instance} up`,
      ];
      await host.exec('ip', ['-batch', '-'], { input: lines.join('\n') });
      const inside = [`addr add ${PUBLIC}/30 dev eth0`, 'link set eth0 up', 'link set lo up'];
      await host.exec('ip', ['-n', away, '-batch', '-'], { input: inside.join('\n') });
      await serve('server', PUBLIC, 80, ['ip', 'netns', 'exec', away]);
    });
    afterEach(async () => {
      for (const child of servers.splice(0)) {
        if (child.exitCode !== null) continue;
        child.kill();
        await once(child, 'exit');
      }
      await host.exec('ip', ['link', 'del', `v${instance}`]);
      await host.exec('ip', ['netns', 'del', away]);
    });
    const read = (slot: Slot, address: string, port: number) =>
      inside(slot, 'bash', '-c', `timeout 2 head -n 1 < /dev/tcp/${address}/${port}`).catch(() => 'nothing');
    const echo = (slot: Slot, address: string) => {
      const ask = `import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); s.sendto(b"x", ("${address}", 80)); print(s.recv(9).decode())`;
      return inside(slot, 'python3', '-c', ask).catch(() => 'nothing');
    };

    it('steers TCP of gated slots alone to the gateway, and forwards none of it while there is no gateway', async () => {
      const [gated, free] = [await pool.take(), await pool.take()];
      await pool.setEgress(gated, { allowOut: [], denyOut: [], gated: true });
      expect(await read(gated, PUBLIC, 80)).toBe('nothing');
      expect(await read(free, PUBLIC, 80)).toContain(`server ${PUBLIC}:80`);
      const port = await serve('gateway', '127.0.0.1', 0);
      await pool.steerTo(port);
      expect(await read(gated, PUBLIC, 80)).toContain(`gateway ${PUBLIC}:80 for ${gated.sandboxAddress}`);
      expect(await read(gated, '203.0.114.9', 443)).toContain('gateway 203.0.114.9:443');
      expect(await read(free, PUBLIC, 80)).toContain(`server ${PUBLIC}:80`);
      // Neither what no sandbox reaches, nor the host, nor the gateway itself.
      for (const address of [
        '10.0.0.1',
        '169.254.169.254',
        gated.hostAddress,
        '93.184.215.13',
        '127.0.0.1',
      ]) {
        expect(await read(gated, address, port)).toBe('nothing');
      }
      await pool.setEgress(gated, { allowOut: [], denyOut: [] });
      expect(await read(gated, PUBLIC, 80)).toContain(`server ${PUBLIC}:80`);
    });

    it('counts what goes by address, with what is refused', async () => {
      const slot = await pool.take();
      await pool.setEgress(slot, { allowOut: [PUBLIC], denyOut: ['0.0.0.0/0'], gated: true });
      expect(await echo(slot, PUBLIC)).toContain('echo');
      expect(await echo(slot, '9.9.9.9')).toBe('nothing');
      expect(await read(slot, '10.9.9.9', 22)).toBe('nothing');
      const { allowed, denied } = await pool.flows();
      const source = slot.sandboxAddress;
      expect(allowed).toEqual([{ source, destination: PUBLIC, protocol: 'udp', port: 80, count: 1 }]);
      expect(denied).toContainEqual({ source, destination: '9.9.9.9', protocol: 'udp', port: 80, count: 1 });
      expect(denied).toContainEqual(
        expect.objectContaining({ source, destination: '10.9.9.9', protocol: 'tcp', port: 22 }),
      );
    });

    it('ends what rules that change forbid', async () => {
      const slot = await pool.take();
      const talk = `
import socket, sys
t = socket.create_connection(("${PUBLIC}", 80), 5); t.recv(99)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(1); u.connect(("${PUBLIC}", 80)); u.send(b"x"); u.recv(9)
print("talking", flush=True); sys.stdin.readline()
u.send(b"x")
try: print("udp", u.recv(9))
except OSError: print("udp ended")
t.settimeout(5)
try: t.sendall(b"x"); print("tcp", t.recv(9))
except OSError as error: print("tcp ended")`;
      const child = spawn('ip', ['netns', 'exec', slot.netns, 'python3', '-c', talk], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      servers.push(child);
      const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
      expect((await lines.next()).value).toBe('talking');
      await pool.steerTo(await serve('gateway', '127.0.0.1', 0));
      await pool.setEgress(slot, { allowOut: [], denyOut: ['0.0.0.0/0'], gated: true });
      child.stdin.write('\n');
      expect((await lines.next()).value).toBe('udp ended');
      expect((await lines.next()).value).toBe('tcp ended');
    });
  });

  it('takes over the way to the gateway that a killed process left, and leaves none', async () => {
    const rules = () => host.exec('ip', ['rule']);
    const own = new RegExp(`from ${claim.subnet.cidr.replaceAll('.', '\\.')} fwmark`, 'g');
    expect((await rules()).match(own)).toHaveLength(1);
    const second = await open();
    expect((await rules()).match(own)).toHaveLength(1);
    await second.close();
    expect((await rules()).match(own)).toBeNull();
    pool = await open();
  });

  it('removes a discarded slot with its rules and makes another', async () => {
    const slot = await pool.take();
    await pool.setEgress(slot, { allowInternetAccess: false, allowOut: ['1.1.1.1'], denyOut: [] });
    expect(await host.exec('nft', ['list', 'table', 'inet', `islet_${instance}`])).toContain(
      `owner_${slot.index}`,
    );
    pool.discard(slot);
    await expect.poll(namespaces).not.toContain(slot.index);
    await expect
      .poll(() => host.exec('nft', ['list', 'table', 'inet', `islet_${instance}`]))
      .not.toContain(`"is${instance}-${slot.index}"`);
  });

  it('takes over the slots of adopted sandboxes and removes the rest of a killed process', async () => {
    const [kept, dropped] = [await pool.take(), await pool.take()];
    await expect.poll(namespaces).toHaveLength(5); // the first pool has nothing left to do
    for (const slot of [kept, dropped])
      await host.exec('ip', ['-n', slot.netns, 'link', 'set', 'lo', 'mtu', '1234']);
    const isOld = (slot: Slot) =>
      host.exec('ip', ['-n', slot.netns, 'link', 'show', 'lo']).then((text) => text.includes('mtu 1234'));
    const second = await open([
      { index: kept.index, egress: { allowInternetAccess: false, allowOut: [], denyOut: [] } },
    ]);
    expect(await isOld(kept)).toBe(true);
    expect(await isOld(dropped)).toBe(false); // a new one of the same name
    expect(await host.exec('nft', ['list', 'table', 'inet', `islet_${instance}`])).toContain(
      `jump owner_${kept.index}`,
    );
    expect((await second.take()).index).not.toBe(kept.index);
    pool = second;
  });
});

describe('claimSubnet', () => {
  it('gives two living Islets different blocks', async () => {
    const claims = await mkdtemp(join(tmpdir(), 'islet-claims-'));
    const [a, b] = [
      await claimSubnet('00000a', claims, host.exec),
      await claimSubnet('10000a', claims, host.exec),
    ];
    expect(a.subnet.block).not.toBe(b.subnet.block);
    await a.release();
    const again = await claimSubnet('20000a', claims, host.exec);
    expect(again.subnet).toEqual(a.subnet);
    await rm(claims, { recursive: true });
  });
});
