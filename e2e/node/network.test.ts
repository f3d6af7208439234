import { execFile } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { promisify } from 'node:util';
import { Sandbox, type SandboxOpts } from 'e2b';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ControlPlane } from '../setup/control-plane.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { addressOnHost } from '../setup/machine.ts';
import { openInternet, type StandIn } from './internet.ts';
import { expectReaches, installProbe, probe, probeUntilAnswered, type Target } from './probe.ts';

let internet: StandIn;
let dataDir: string;
let islet: RunningInstance;
let api: ControlPlane;
const made: Sandbox[] = [];

beforeAll(async () => {
  internet = await openInternet();
  const { dns, lan } = internet.addresses;
  dataDir = await newDataDir();
  // Open to the whole network, so that only the sandboxes' firewall keeps them away.
  islet = await startInstance(dataDir, ['--dns', `${dns},${lan}`, '--host', '0.0.0.0']);
  api = new ControlPlane(islet.access);
});
afterEach(async () => {
  await Promise.all(made.splice(0).map((sandbox) => sandbox.kill()));
});
afterAll(async () => {
  try {
    expect(await islet?.stop('SIGTERM')).toBe(0);
  } finally {
    await internet?.[Symbol.asyncDispose]();
    await removeDataDir(dataDir);
  }
});

async function start(options: SandboxOpts = {}): Promise<Sandbox> {
  const { apiUrl, sandboxUrl, apiKey } = islet.access;
  const sandbox = await Sandbox.create({ apiUrl, sandboxUrl, apiKey, timeoutMs: 300_000, ...options });
  made.push(sandbox);
  await installProbe(sandbox);
  return sandbox;
}

/** The address that a sandbox has. */
/** What the sandbox itself takes for its address. */
async function addressInside(sandbox: Sandbox): Promise<string> {
  const { stdout } = await sandbox.commands.run(
    `python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("203.0.113.1", 9)); print(s.getsockname()[0])'`,
  );
  return stdout.trim();
}

/** The host's end of a sandbox's network. */
const gatewayOf = (address: string) => address.replace(/\d+$/, (last) => String(Number(last) - 1));

/** Every TCP port that a process listens on. */
async function listeningPorts(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ss', ['-ltnpH']);
  const lines = stdout.split('\n').filter((line) => line.includes(`pid=${pid},`));
  return lines.map((line) => Number(/:(\d+)\s/.exec(line)?.[1]));
}

const web = (host: string): Target => ['http', host, 80];
const all = (host: string): Target[] => [web(host), ['greeting', host, 7000], ['udp', host, 7001]];

describe('a sandbox that nobody restricts', () => {
  it('reaches the internet by any protocol, in the host’s name', async () => {
    const { a, host } = internet.addresses;
    const [http, greeting, udp] = await probeUntilAnswered(await start(), all(a));
    expect(http?.text).toContain(`hello from ${a} to ${host}`);
    expect(greeting?.text).toBe(`greetings from ${a}\n`);
    expect(udp?.text).toBe(`echo from ${a}`);
  });

  it('resolves names, its own among them', async () => {
    const { a } = internet.addresses;
    const sandbox = await start();
    const [known, own] = await probeUntilAnswered(sandbox, [
      ['dns', 'a.islet.test', 0],
      ['dns', sandbox.sandboxId, 0],
    ]);
    const [unknown] = await probe(sandbox, [['dns', 'nobody.islet.test', 0]]);
    expect(known).toEqual({ ok: true, text: a });
    expect(unknown?.ok).toBe(false);
    expect(own?.text).toMatch(/^127\./);
    const [page] = await probeUntilAnswered(sandbox, [['http', 'a.islet.test', 80]]);
    expect(page?.text).toContain(`hello from ${a}`);
  });

  it('reaches no private or reserved network, metadata service or loopback of the host, as root neither', async () => {
    const { lan, linkLocal, reserved } = internet.addresses;
    const sandbox = await start();
    const targets: Target[] = [
      ...all(lan),
      ...all(linkLocal),
      ...reserved.flatMap(all),
      web('169.254.169.254'),
      web('10.0.0.1'),
      web('172.16.0.1'),
      web('192.168.0.1'),
      web('100.64.0.1'),
    ];
    const none = targets.map(() => false);
    await Promise.all(['user', 'root'].map((user) => expectReaches(sandbox, targets, none, user)));
    // They are there: the host itself reaches them.
    for (const host of [lan, linkLocal, ...reserved]) {
      expect(await (await fetch(`http://${host}/`)).text()).toContain('hello');
    }
  });

  it('is refused at once what no owner may allow, a cloud’s service at a public address too', async () => {
    const everything = { allowOut: ['0.0.0.0/0', '168.63.129.16'] };
    const sandbox = await start({ network: everything });
    const hosts = [
      '168.63.129.16',
      '192.0.0.192',
      '198.18.0.1',
      '198.19.255.254',
      '100.100.100.200',
      '240.0.0.1',
    ];
    // By a reset, which comes from the host: nobody out there answers for these.
    const results = await probe(sandbox, hosts.map(web), 'root');
    expect(results.map(({ error }) => error)).toEqual(
      hosts.map(() => expect.stringMatching(/refused|reset/i)),
    );
  });

  it('reaches no service on any address of the host', async () => {
    const sandbox = await start();
    const gateway = gatewayOf(await addressOnHost(islet.access.dataDir, sandbox.sandboxId));
    const addresses = Object.values(networkInterfaces())
      .flatMap((each) => each ?? [])
      .filter(({ family, internal }) => family === 'IPv4' && !internal)
      .map(({ address }) => address);
    expect(addresses).toContain(internet.addresses.host);
    const ports = await listeningPorts(islet.pid);
    const apiPort = Number(new URL(islet.access.apiUrl).port);
    expect(ports).toContain(apiPort);
    expect(ports.length).toBeGreaterThanOrEqual(5);
    // The host has the gateway's address by a route, on no link.
    const own = [gateway, ...addresses.filter((address) => !address.startsWith('10.'))];
    const targets = own.flatMap((address) => ports.map((port): Target => ['http', address, port]));
    await expectReaches(
      sandbox,
      targets,
      targets.map(() => false),
      'root',
    );
    // Anybody else does.
    const { host } = internet.addresses;
    expect(await internet.fetchFrom(`http://${host}:${apiPort}/health`)).toBe('Health check successful');
  });

  it('does not reach another sandbox, nor its gateway', async () => {
    const [one, other] = await Promise.all([start(), start()]);
    const address = await addressOnHost(islet.access.dataDir, other.sandboxId);
    await other.commands.run('python3 -m http.server 8000 --bind 0.0.0.0', { background: true });
    await expect.poll(async () => (await api.edge(other.sandboxId, 8000, '/')).status).toBe(200);
    const targets: Target[] = [
      ['http', address, 8000],
      ['http', address, 49983],
      ['http', gatewayOf(address), 8000],
    ];
    await expectReaches(one, targets, [false, false, false], 'root');
  });

  it('cannot send in another’s name', async () => {
    const { a } = internet.addresses;
    const [sandbox, victim] = await Promise.all([start(), start()]);
    const own = await addressInside(sandbox);
    const foreign = await addressOnHost(islet.access.dataDir, victim.sandboxId);
    const send = (source: string, text: string) => `
import socket, struct
data = ${JSON.stringify(text)}.encode()
udp = struct.pack("!HHHH", 9999, 7001, 8 + len(data), 0) + data
source, target = socket.inet_aton("${source}"), socket.inet_aton("${a}")
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, target)
total = sum(struct.unpack("!10H", head))
total = (total & 0xffff) + (total >> 16); total = (total & 0xffff) + (total >> 16)
head = head[:10] + struct.pack("!H", ~total & 0xffff) + head[12:]
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
raw.sendto(head + udp, ("${a}", 0))
`;
    for (const [source, text] of [
      [foreign, 'as another sandbox'],
      ['203.0.113.77', 'as a stranger'],
      ['10.0.0.1', 'as a private address'],
      // Comes last and arrives: the way of sending works, and what was sent before has had its time.
      [own, 'as myself'],
    ] as const) {
      await sandbox.files.write('/tmp/raw.py', send(source, text));
      await sandbox.commands.run('python3 /tmp/raw.py', { user: 'root' });
    }
    await expect.poll(async () => (await internet.seen()).map(({ text }) => text)).toContain('as myself');
    const texts = (await internet.seen()).map(({ text }) => text);
    expect(texts.filter((text) => text.startsWith('as '))).toEqual(['as myself']);
  });

  it('gets nowhere by IPv6, also if it gives itself an address', async () => {
    const { v6 } = internet.addresses;
    const sandbox = await start();
    await expectReaches(sandbox, all(v6), [false, false, false], 'root');
    await sandbox.commands.run('ip -6 addr add 2001:db8:e2e:ffff::2/64 dev eth0', { user: 'root' });
    await expectReaches(sandbox, all(v6), [false, false, false], 'root');
    expect((await internet.seen()).filter(({ to }) => to === v6)).toEqual([]);
    expect(await (await fetch(`http://[${v6}]/`)).text()).toContain('hello');
  });
});

describe('rules of a sandbox’s owner', () => {
  /** By every protocol. */
  const expectReach = (sandbox: Sandbox, may: { a: boolean; b: boolean }) => {
    const { a, b } = internet.addresses;
    const [ofA, ofB] = [may.a, may.b].map((is) => [is, is, is]) as [boolean[], boolean[]];
    return expectReaches(sandbox, [...all(a), ...all(b)], [...ofA, ...ofB]);
  };
  const [yes, no] = [true, false];

  it('without internet access nothing is reached, names neither', async () => {
    const sandbox = await start({ allowInternetAccess: false });
    await expectReach(sandbox, { a: no, b: no });
    await expectReaches(sandbox, [['dns', 'a.islet.test', 0]], [false]);
    expect((await api.get(sandbox.sandboxId)).body).toMatchObject({ allowInternetAccess: false });
  });

  it('hold from the first moment', async () => {
    const { a, b } = internet.addresses;
    const everything = ['0.0.0.0/0'];
    const cases = [
      [{ denyOut: [a] }, { a: no, b: yes }],
      [{ denyOut: [`${b}/32`] }, { a: yes, b: no }],
      [{ denyOut: [`${a}/29`] }, { a: no, b: no }],
      [
        { denyOut: everything, allowOut: [a] },
        { a: yes, b: no },
      ],
      [
        { denyOut: everything, allowOut: [`${a}/29`] },
        { a: yes, b: yes },
      ],
      [
        { denyOut: [a], allowOut: [a] },
        { a: yes, b: yes },
      ],
      [{ allowOut: [a] }, { a: yes, b: yes }],
      [{ denyOut: [...everything, ...everything] }, { a: no, b: no }],
    ] as const;
    await Promise.all(
      cases.map(async ([network, expected]) => {
        const sandbox = await start({ network: { ...network } as NonNullable<SandboxOpts['network']> });
        await expectReach(sandbox, expected).catch((cause: Error) => {
          throw new Error(`${JSON.stringify(network)}: ${cause.message}`, { cause });
        });
      }),
    );
  });

  it('open no private range', async () => {
    const { lan, linkLocal } = internet.addresses;
    const sandbox = await start({
      network: { allowOut: [lan, linkLocal, '192.168.0.0/16', '0.0.0.0/0'], denyOut: ['0.0.0.0/0'] },
    });
    await expectReaches(sandbox, [web(lan), web(linkLocal)], [false, false]);
  });

  it('are replaced as a whole while it runs, for new connections at once', async () => {
    const { a, b } = internet.addresses;
    const sandbox = await start();
    const everything = ['0.0.0.0/0'];
    for (const [rules, expected] of [
      [{ denyOut: [a] }, { a: no, b: yes }],
      [{ denyOut: [b] }, { a: yes, b: no }],
      [
        { denyOut: everything, allowOut: [b] },
        { a: no, b: yes },
      ],
      [{ allow_internet_access: false }, { a: no, b: no }],
      [
        { allow_internet_access: false, allowOut: [a] },
        { a: yes, b: no },
      ],
      [{}, { a: yes, b: yes }],
    ] as const) {
      const { status } = await api.call('PUT', `/sandboxes/${sandbox.sandboxId}/network`, { body: rules });
      expect(status).toBe(204);
      await expectReach(sandbox, expected);
    }
    const { body } = await api.get(sandbox.sandboxId);
    expect(body).toMatchObject({ network: { allowOut: [], denyOut: [] }, allowInternetAccess: null });
  });

  it('stay as they were if the new ones are wrong', async () => {
    const { a } = internet.addresses;
    const sandbox = await start({ network: { denyOut: [a] } });
    const answer = await api.call('PUT', `/sandboxes/${sandbox.sandboxId}/network`, {
      body: { denyOut: ['not an address'] },
    });
    expect(answer.body).toEqual({ code: 400, message: 'invalid denied CIDR not an address' });
    await expectReach(sandbox, { a: no, b: yes });
  });

  it('are of one sandbox only', async () => {
    const [closed, open] = await Promise.all([start({ allowInternetAccess: false }), start()]);
    await expectReach(closed, { a: no, b: no });
    await expectReach(open, { a: yes, b: yes });
  });
});
