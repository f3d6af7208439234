import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Sandbox } from 'e2b';
import { afterEach, expect, inject, it } from 'vitest';
import { machineOf } from '../setup/machine.ts';
import { savedDir } from '../setup/saved.ts';
import { qemuOf } from './qemu.ts';

const { apiUrl, sandboxUrl, apiKey, dataDir } = inject('islet');
const connection = { apiUrl, sandboxUrl, apiKey, requestTimeoutMs: 120_000 };
const lasting = { ...connection, timeoutMs: 600_000 };

/** Firecracker's machines get copies of what was saved. */
const layered = !process.env.ISLET_FIRECRACKER;

const made: string[] = [];
afterEach(async () => {
  await Promise.all(made.splice(0).map((id) => Sandbox.kill(id, connection)));
});

/**
 * Holds 64 MB of pages that each tell their place and what was last written there. `/change?<seed>` writes some in pieces and some by
 * themselves, and frees a quarter to make it anew; `/check` answers how many are not as they were written.
 */
const HOLDER = `
import random
from http.server import BaseHTTPRequestHandler, HTTPServer
PAGES, BLOCKS = 4096, 4
blocks, versions = [None] * BLOCKS, [[0] * PAGES for _ in range(BLOCKS)]
def content(block, page):
    return (block << 56 | page << 32 | versions[block][page]).to_bytes(8, 'little') * 512
def write(block, page):
    versions[block][page] += 1
    blocks[block][page * 4096:(page + 1) * 4096] = content(block, page)
def make(block):
    blocks[block] = None
    blocks[block] = bytearray(PAGES * 4096)
    for page in range(PAGES): write(block, page)
def change(seed):
    chance = random.Random(seed)
    make(seed % BLOCKS)
    for _ in range(200): write(chance.randrange(BLOCKS), chance.randrange(PAGES))
    for _ in range(10):
        block, first = chance.randrange(BLOCKS), chance.randrange(PAGES - 100)
        for page in range(first, first + 100): write(block, page)
    return 'changed'
def check():
    return sum(blocks[b][p * 4096:(p + 1) * 4096] != content(b, p) for b in range(BLOCKS) for p in range(PAGES))
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path, _, seed = self.path.partition('?')
        answer = str(change(int(seed)) if path == '/change' else check()).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *_): pass
for block in range(BLOCKS): make(block)
HTTPServer(('0.0.0.0', 8000), Handler).serve_forever()
`;
const HELD_BYTES = 4 * 4096 * 4096;

const ask = async (sandbox: Sandbox, path: string) => {
  const response = await fetch(`http://${sandbox.getHost(8000)}${path}`);
  return response.status === 200 ? response.text() : `status ${response.status}`;
};
/** Pauses a sandbox. Returns the sizes of the layers of its memory, bytes, the newest first. */
const paused = async (sandbox: Sandbox) => {
  await sandbox.pause({ ...connection });
  const shared = join(await savedDir(dataDir, sandbox.sandboxId), 'shared');
  const numbers = (await readdir(shared)).flatMap((name) => /^memory-(\d+)$/.exec(name)?.[1] ?? []);
  const newestFirst = numbers.map(Number).sort((one, other) => other - one);
  return Promise.all(newestFirst.map(async (number) => (await stat(join(shared, `memory-${number}`))).size));
};
const resumed = ({ sandboxId }: Sandbox) => Sandbox.connect(sandboxId, lasting);
const forked = async (sandbox: Sandbox) => {
  const [fork] = await sandbox.fork(lasting);
  if (!(fork instanceof Sandbox)) throw fork;
  made.push(fork.sandboxId);
  return fork;
};

it('keeps every page over pauses, snapshots and forks, writes only what changed since, and shares the rest', {
  tags: 'long',
}, async () => {
  let sandbox = await Sandbox.create('base', lasting);
  made.push(sandbox.sandboxId);
  await sandbox.files.write('/home/user/holder.py', HOLDER);
  await sandbox.commands.run('python3 /home/user/holder.py', { background: true, timeoutMs: 0 });
  await expect
    .poll(() => ask(sandbox, '/check').catch(String), { timeout: 120_000, interval: 500 })
    .toBe('0');

  const fork = await forked(sandbox);
  if (layered) expect(await sharedBytes(sandbox, fork)).toBeGreaterThan(HELD_BYTES / 2);
  const [newest, older] = await paused(sandbox);
  if (layered) expect(older).toBeGreaterThan(HELD_BYTES);
  if (layered) expect(newest).toBeLessThan(HELD_BYTES / 2);
  sandbox = await resumed(sandbox);
  expect(await ask(sandbox, '/check')).toBe('0');
  expect(await ask(sandbox, '/change?1')).toBe('changed');
  expect(await ask(fork, '/change?2')).toBe('changed');
  expect(await Promise.all([ask(sandbox, '/check'), ask(fork, '/check')])).toEqual(['0', '0']);
  await sandbox.kill();

  await paused(fork);
  sandbox = await resumed(fork);
  expect(await ask(sandbox, '/change?3')).toBe('changed');
  const { snapshotId } = await sandbox.createSnapshot(connection);
  expect(await ask(sandbox, '/change?4')).toBe('changed');
  const clone = await Sandbox.create(snapshotId, lasting);
  made.push(clone.sandboxId);
  expect(await Promise.all([ask(sandbox, '/check'), ask(clone, '/check')])).toEqual(['0', '0']);
  await paused(sandbox);
  sandbox = await resumed(sandbox);
  expect(await ask(sandbox, '/check')).toBe('0');
});

/** What two virtual machines map of the same layers of saved memory. */
async function sharedBytes(...sandboxes: [Sandbox, Sandbox]): Promise<number> {
  const [one, other] = (await Promise.all(sandboxes.map(layersOf))) as [
    Map<string, number>,
    Map<string, number>,
  ];
  return [...one].reduce((sum, [inode, bytes]) => sum + Math.min(bytes, other.get(inode) ?? 0), 0);
}

async function layersOf({ sandboxId }: Sandbox): Promise<Map<string, number>> {
  const [pid] = await qemuOf(await machineOf(dataDir, sandboxId));
  const bytes = new Map<string, number>();
  for (const line of (await readFile(`/proc/${pid}/maps`, 'utf8')).split('\n')) {
    const [, from = '', to = '', inode = ''] =
      /^(\w+)-(\w+) \S+ \S+ \S+ (\d+) .*\/memory-\d+/.exec(line) ?? [];
    if (inode === '') continue;
    const mapped = Number.parseInt(to, 16) - Number.parseInt(from, 16);
    bytes.set(inode, (bytes.get(inode) ?? 0) + mapped);
  }
  return bytes;
}
