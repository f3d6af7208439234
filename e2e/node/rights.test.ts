import { readdir, readFile, readlink } from 'node:fs/promises';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { footprint } from '../setup/footprint.ts';

const access = inject('islet');
const { apiUrl, sandboxUrl, apiKey, dataDir, pid } = access;

/** capabilities(7), by their bits. What docs/security.md says that Islet keeps. */
const ISLET = rightsOf(...[0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 13, 18, 19, 21, 23, 27, 29, 31]);
/** gVisor's file server: files of any owner, and a root of its own. */
const GOFER = rightsOf(0, 1, 2, 3, 4, 18);
const GATEWAY_UID = 1_900_000_001;

function rightsOf(...bits: number[]): bigint {
  return bits.reduce((set, bit) => set | (1n << BigInt(bit)), 0n);
}

/** What the kernel says that a process, or a thread of one, may do. */
interface Rights {
  name: string;
  uid: number;
  effective: bigint;
  bounding: bigint;
  ambient: bigint;
  mayGain: boolean;
  isFiltered: boolean;
}

async function rightsAt(dir: string): Promise<Rights> {
  const text = await readFile(`${dir}/status`, 'utf8');
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(text)?.[1] ?? '';
  const set = (name: string) => BigInt(`0x${field(name)}`);
  return {
    name: field('Name'),
    uid: Number(field('Uid')),
    effective: set('CapEff'),
    bounding: set('CapBnd'),
    ambient: set('CapAmb'),
    mayGain: field('NoNewPrivs') !== '1',
    isFiltered: field('Seccomp') === '2',
  };
}

/** Processes of Islet beside its own, each by its command, that have not ended meanwhile. */
async function others(): Promise<{ pid: number; command: string; rights: Rights }[]> {
  const { processes } = await footprint({ dataDir, pid });
  const found = await Promise.all(
    processes.map(async (line) => {
      const [id = '', ...words] = line.split(' ');
      const rights = await rightsAt(`/proc/${id}`).catch(() => undefined);
      return rights ? [{ pid: Number(id), command: words.join(' '), rights }] : [];
    }),
  );
  return found.flat();
}

let sandbox: Sandbox;
beforeAll(async () => {
  // Its rules start the gateway, if no one's did.
  const network = { denyOut: ['198.51.100.0/24'] };
  sandbox = await Sandbox.create({ apiUrl, sandboxUrl, apiKey, network, timeoutMs: 300_000 });
  expect((await sandbox.commands.run('echo runs')).stdout).toBe('runs\n');
});
afterAll(() => sandbox.kill());

describe('what a running Islet may do', () => {
  it('is the documented part of what root may, on each of its threads, for good', async () => {
    const threads = await readdir(`/proc/${pid}/task`);
    expect(threads.length).toBeGreaterThan(4);
    for (const thread of threads) {
      const { effective, bounding, ambient, mayGain } = await rightsAt(`/proc/${pid}/task/${thread}`);
      expect({ effective, bounding, ambient, mayGain }).toEqual({
        ...{ effective: ISLET, bounding: ISLET, ambient: 0n, mayGain: false },
      });
    }
  });

  it('is nothing, in the gateway, which is a user that nobody else is', async () => {
    const gateways = (await others()).filter(({ command }) => command.startsWith('islet-egress'));
    expect(gateways.map(({ rights: { effective, uid, mayGain } }) => ({ effective, uid, mayGain }))).toEqual([
      { effective: 0n, uid: GATEWAY_UID, mayGain: false },
    ]);
  });

  it('is little in what runs sandboxes, in user namespaces of their own and behind a filter of calls', async () => {
    const own = await readlink(`/proc/${pid}/ns/user`);
    const all = await others();
    const running = all.filter(({ command, rights }) => command.startsWith('runsc-') && rights.isFiltered);
    for (const kind of ['runsc-sandbox', 'runsc-gofer']) {
      expect(running.filter(({ command }) => command.startsWith(kind))).not.toEqual([]);
    }
    for (const { pid: each, command, rights } of running) {
      expect(rights.mayGain, command).toBe(false);
      expect(await readlink(`/proc/${each}/ns/user`), command).not.toBe(own);
      if (command.startsWith('runsc-gofer')) expect(rights.effective, command).toBe(GOFER);
    }
  });

  it('is more in nothing that it starts: outside of namespaces of users, no process has a right that it lacks', async () => {
    const own = await readlink(`/proc/${pid}/ns/user`);
    for (const { pid: each, command, rights } of await others()) {
      const namespace = await readlink(`/proc/${each}/ns/user`).catch(() => undefined);
      if (namespace !== own) continue;
      expect(rights.effective & ~ISLET, command).toBe(0n);
      expect(rights.mayGain, command).toBe(false);
    }
  });
});
