import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { type Certificates, makeCertificates } from '../setup/test-authority.ts';

const run = promisify(execFile);

const LAUNCHER = resolve(import.meta.dirname, '../../islet');
const SERVER = join(import.meta.dirname, 'internet.mjs');

/** Addresses out there. The public ones are what the protocol's own tests use, and some that belong to nobody here. */
export const OUT = {
  cloudflare: '1.1.1.1',
  google: '8.8.8.8',
  site: '93.184.215.10',
  other: '93.184.215.20',
  proxy: '93.184.215.30',
  metadata: '169.254.169.254',
  lan: '192.168.77.7',
  /** The machine's own, on the side of the internet. */
  host: '45.60.0.1',
} as const;

const GATEWAY = '45.60.0.2';

/** One name may have several addresses, one for each question in turn. */
export const NAMES: Record<string, string[]> = {
  'site.test': [OUT.site],
  'www.site.test': [OUT.site],
  'deep.www.site.test': [OUT.site],
  'other.test': [OUT.other],
  'private.test': [OUT.lan],
  'metadata.test': [OUT.metadata],
  'own.test': [OUT.host],
  'rebinding.test': [OUT.site, OUT.lan, OUT.metadata],
  'one.test': [OUT.cloudflare],
};

export const SOCKS = {
  open: `${OUT.proxy}:1080`,
  locked: `${OUT.proxy}:1081`,
  username: 'customer',
  password: 'pass:word',
} as const;

/** What a server out there has seen. */
export interface Seen {
  kind: 'http' | 'https' | 'udp' | 'socks';
  address?: string;
  host?: string;
  /** Of HTTP. */
  headers?: Record<string, string>;
  name?: string;
  path?: string;
  text?: string;
  port?: number;
  type?: 'name' | 'address';
  user?: string;
}

/** A machine with Islet between this one, which asks its API, and an internet of one namespace. */
export class World implements AsyncDisposable {
  islet: RunningInstance;
  /** The certificate of the authority that the servers out there have. */
  readonly authority: string;
  readonly dataDir: string;
  readonly #internet: Internet;
  readonly #names: Names;
  readonly #dir: string;

  private constructor(parts: {
    islet: RunningInstance;
    authority: string;
    dataDir: string;
    internet: Internet;
    names: Names;
    dir: string;
  }) {
    this.islet = parts.islet;
    this.authority = parts.authority;
    this.dataDir = parts.dataDir;
    this.#internet = parts.internet;
    this.#names = parts.names;
    this.#dir = parts.dir;
  }

  static async open(): Promise<World> {
    const dir = await mkdtemp(join(tmpdir(), 'islet-world-'));
    const dataDir = await newDataDir();
    const names = namesOf(process.pid);
    let internet: Internet | undefined;
    try {
      const certificates = await makeCertificates(dir, [
        ...Object.keys(NAMES).map((name) => `DNS:${name}`),
        ...Object.values(OUT).map((address) => `IP:${address}`),
      ]);
      await makeNetworks(names);
      internet = await Internet.start(names.internet, certificates);
      const islet = await startIslet(names, dataDir, certificates.authority);
      const authority = await readFile(certificates.authority, 'utf8');
      return new World({ islet, authority, dataDir, internet, names, dir });
    } catch (error) {
      await internet?.[Symbol.asyncDispose]();
      await removeNetworks(names);
      await Promise.all([rm(dir, { recursive: true }), removeDataDir(dataDir)]);
      throw error;
    }
  }

  /** How the SDK reaches it. */
  get connection() {
    const { apiUrl, sandboxUrl, apiKey } = this.islet.access;
    const from = (url: string) => `http://${this.#names.machineAddress}:${new URL(url).port}`;
    return { apiUrl: from(apiUrl), sandboxUrl: from(sandboxUrl), apiKey };
  }

  /** Runs a program of the machine that Islet is on. */
  async onMachine(program: string, ...args: string[]): Promise<string> {
    const { stdout } = await run('nsenter', [`--net=/run/netns/${this.#names.machine}`, program, ...args]);
    return stdout;
  }

  /** What the servers out there have seen since the last time. */
  seen(): Promise<Seen[]> {
    return this.#internet.seen();
  }

  /** SIGKILL, as a machine's administrator or its memory may send. Sandboxes go on. */
  async killIslet(): Promise<void> {
    await this.islet.stop('SIGKILL');
  }

  async startIslet(): Promise<void> {
    this.islet = await startIslet(this.#names, this.dataDir, join(this.#dir, 'ca.pem'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.islet.stop('SIGTERM');
    } finally {
      await this.#internet[Symbol.asyncDispose]();
      await removeNetworks(this.#names);
      await Promise.all([rm(this.#dir, { recursive: true }), removeDataDir(this.dataDir)]);
    }
  }
}

interface Names {
  machine: string;
  internet: string;
  /** Of this machine's end of the way to the other. */
  link: string;
  machineAddress: string;
  ownAddress: string;
}

function namesOf(pid: number): Names {
  const net = `192.168.214.${(pid % 60) * 4}`;
  const at = (offset: number) => net.replace(/\d+$/, (last) => String(Number(last) + offset));
  return {
    ...{ machine: `e2e-machine-${pid}`, internet: `e2e-away-${pid}`, link: `e2em${pid}` },
    ...{ ownAddress: at(1), machineAddress: at(2) },
  };
}

/** @param authority what the gateway trusts besides the authorities of the real internet */
function startIslet({ machine }: Names, dataDir: string, authority: string): Promise<RunningInstance> {
  return startInstance(dataDir, ['--dns', OUT.google, '--host', '0.0.0.0'], {
    launcher: ['nsenter', `--net=/run/netns/${machine}`, LAUNCHER],
    env: { NODE_EXTRA_CA_CERTS: authority },
  });
}

async function makeNetworks({ machine, internet, link, machineAddress, ownAddress }: Names): Promise<void> {
  for (const args of [
    ['netns', 'add', machine],
    ['netns', 'add', internet],
    ['link', 'add', link, 'type', 'veth', 'peer', 'name', 'control', 'netns', machine],
    ['addr', 'add', `${ownAddress}/30`, 'dev', link],
    ['link', 'set', link, 'up'],
    ['-n', machine, 'link', 'add', 'wan', 'type', 'veth', 'peer', 'name', 'wan', 'netns', internet],
  ]) {
    await run('ip', args);
  }
  const batches = {
    [machine]: [
      'link set lo up',
      `addr add ${machineAddress}/30 dev control`,
      'link set control up',
      `addr add ${OUT.host}/24 dev wan`,
      'link set wan up',
      `route add default via ${GATEWAY}`,
    ],
    [internet]: [
      'link set lo up',
      `addr add ${GATEWAY}/24 dev wan`,
      'link set wan up',
      ...Object.values(OUT)
        .filter((address) => address !== OUT.host)
        .map((address) => `addr add ${address}/32 dev lo`),
      // A packet whose sender was not replaced must be able to come back, so that only the firewall can be the reason.
      `route add default via ${OUT.host}`,
    ],
  };
  for (const [netns, lines] of Object.entries(batches)) {
    for (const line of lines) await run('ip', ['-n', netns, ...line.split(' ')]);
  }
}

async function removeNetworks({ machine, internet, link }: Names): Promise<void> {
  for (const args of [
    ['link', 'del', link],
    ['netns', 'del', machine],
    ['netns', 'del', internet],
  ]) {
    await run('ip', args).catch(() => undefined);
  }
}

class Internet implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(process: ChildProcess, lines: AsyncIterator<string>) {
    this.#process = process;
    this.#lines = lines;
  }

  static async start(netns: string, { key, cert }: Certificates): Promise<Internet> {
    const { host: _, proxy, ...served } = OUT;
    const facts = {
      servers: Object.values(served),
      resolvers: [OUT.google, OUT.cloudflare],
      ...{ names: NAMES, key, cert, proxy },
      proxies: [{ port: 1080 }, { port: 1081, username: SOCKS.username, password: SOCKS.password }],
    };
    const child = spawn(
      'nsenter',
      [`--net=/run/netns/${netns}`, process.execPath, SERVER, JSON.stringify(facts)],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.value !== 'ready') throw new Error('the internet of the test did not start');
    return new Internet(child, lines);
  }

  async seen(): Promise<Seen[]> {
    this.#process.stdin?.write('\n');
    const { value } = await this.#lines.next();
    return JSON.parse(value) as Seen[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = new Promise((done) => this.#process.once('exit', done));
    this.#process.stdin?.end();
    await ended;
  }
}
