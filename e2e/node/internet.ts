import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { send } from '../setup/http.ts';

const run = promisify(execFile);

/** Addresses of a network that is public to everybody's rules, and of others that are not. */
export interface StandInAddresses {
  /** Two servers on the internet. */
  a: string;
  b: string;
  /** A resolver there. */
  dns: string;
  /** The host's own address on that side. */
  host: string;
  /** A machine in a private network of the host, a resolver too. */
  lan: string;
  /** One in the link-local range, where clouds keep their metadata. */
  linkLocal: string;
  /** Servers in ranges that are reserved for something, of which some networks make private ones. */
  reserved: string[];
  /** A server with an IPv6 address. */
  v6: string;
}

/** A datagram that reached a server. */
export interface SeenDatagram {
  text: string;
  from: string;
  to: string;
}

/** An internet of one network namespace: routed from the host like the real one, gone when disposed of. */
export interface StandIn extends AsyncDisposable {
  addresses: StandInAddresses;
  /** Datagrams that arrived until now, whatever their sender said. */
  seen(): Promise<SeenDatagram[]>;
  /** What a machine out there gets from a URL. */
  fetchFrom(url: string): Promise<string>;
}

const SERVER = join(import.meta.dirname, 'internet-server.mjs');

/** How many there may be at once on a machine: each has eight addresses of every network. */
const MOST = 31;
const netnsOf = (index: number) => `e2e-net-${index}`;

/** Takes one that nobody has, left-overs of a test that was killed included: making its namespace claims it. */
async function claimIndex(): Promise<number> {
  const first = randomInt(MOST);
  for (let tried = 0; tried < MOST; tried++) {
    const index = 1 + ((first + tried) % MOST);
    const isMine = await run('ip', ['netns', 'add', netnsOf(index)]).then(
      () => true,
      (error: Error) => {
        if (error.message.includes('File exists')) return false;
        throw error;
      },
    );
    if (isMine) return index;
  }
  throw new Error(`there are ${MOST} stand-ins for the internet: ip netns del e2e-net-<n> removes one`);
}

/** Makes it. Several may be there at once, each with addresses of its own. Needs root. */
export async function openInternet(): Promise<StandIn> {
  const index = await claimIndex();
  const netns = netnsOf(index);
  const link = `e2enet${index}`;
  const peer = `e2epeer${index}`;
  // Of relays for multicast: globally reachable by IANA's registry, and by nobody who runs tests.
  const public4 = (last: number) => `192.52.193.${index * 8 - 8 + last}`;
  const RESERVED = ['192.0.0', '198.18.213', '198.51.100', '203.0.113'];
  const addresses: StandInAddresses = {
    host: public4(1),
    a: public4(2),
    b: public4(3),
    dns: public4(4),
    lan: `192.168.213.${index * 8 - 8 + 2}`,
    linkLocal: `169.254.213.${index * 8 - 8 + 2}`,
    reserved: RESERVED.map((network) => `${network}.${index * 8 - 8 + 2}`),
    v6: `2001:db8:e2e:${index}::2`,
  };
  const inside = ['-n', netns];
  const close = async (server?: ChildProcess) => {
    if (server && server.exitCode === null) {
      server.stdin?.end();
      await once(server, 'exit');
    }
    await run('ip', ['link', 'del', link]).catch(() => undefined);
    await run('ip', ['netns', 'del', netns]);
  };

  let server: ChildProcess | undefined;
  try {
    for (const args of [
      ['link', 'add', link, 'type', 'veth', 'peer', 'name', peer, 'netns', netns],
      ['addr', 'add', `${addresses.host}/29`, 'dev', link],
      ['addr', 'add', `192.168.213.${index * 8 - 8 + 1}/29`, 'dev', link],
      ['addr', 'add', `169.254.213.${index * 8 - 8 + 1}/29`, 'dev', link],
      ['addr', 'add', `2001:db8:e2e:${index}::1/64`, 'dev', link, 'nodad'],
      ...RESERVED.map((network) => ['addr', 'add', `${network}.${index * 8 - 8 + 1}/29`, 'dev', link]),
      ['link', 'set', link, 'up'],
      [...inside, 'link', 'set', 'lo', 'up'],
      [...inside, 'addr', 'add', `${addresses.a}/29`, 'dev', peer],
      [...inside, 'addr', 'add', `${addresses.b}/29`, 'dev', peer],
      [...inside, 'addr', 'add', `${addresses.dns}/29`, 'dev', peer],
      [...inside, 'addr', 'add', `${addresses.lan}/29`, 'dev', peer],
      [...inside, 'addr', 'add', `${addresses.linkLocal}/29`, 'dev', peer],
      ...addresses.reserved.map((address) => [...inside, 'addr', 'add', `${address}/29`, 'dev', peer]),
      [...inside, 'addr', 'add', `${addresses.v6}/64`, 'dev', peer, 'nodad'],
      [...inside, 'link', 'set', peer, 'up'],
      // A packet whose sender was not replaced must be able to come back, so that only the firewall can be the reason.
      [...inside, 'route', 'add', 'default', 'via', addresses.host],
    ]) {
      await run('ip', args);
    }
    server = await startServer(netns, addresses);
  } catch (error) {
    await close(server);
    throw error;
  }
  return {
    addresses,
    async seen() {
      const { body, text } = await send<unknown>({ method: 'GET', url: `http://${addresses.a}/seen` });
      return (body ?? JSON.parse(text)) as SeenDatagram[];
    },
    async fetchFrom(url) {
      const script = `fetch(process.argv[1]).then((r) => r.text()).then((t) => process.stdout.write(t))`;
      const { stdout } = await run('ip', ['netns', 'exec', netns, process.execPath, '-e', script, url]);
      return stdout;
    },
    [Symbol.asyncDispose]: () => close(server),
  };
}

async function startServer(netns: string, addresses: StandInAddresses): Promise<ChildProcess> {
  const { a, b, dns, lan, linkLocal, reserved, v6 } = addresses;
  const names = { 'a.islet.test': a, 'b.islet.test': b };
  const served = [a, b, lan, linkLocal, ...reserved, v6].join(',');
  const server = spawn(
    'ip',
    ['netns', 'exec', netns, process.execPath, SERVER, served, `${dns},${lan}`, JSON.stringify(names)],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  if (!server.stdout) throw new TypeError('stdout is not a pipe');
  for await (const line of createInterface(server.stdout)) if (line === 'ready') return server;
  throw new Error('the stand-in for the internet did not start');
}
