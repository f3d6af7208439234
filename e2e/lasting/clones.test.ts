import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { until } from '../setup/until.ts';

const { apiUrl, sandboxUrl, apiKey } = inject('islet');
const connection = { apiUrl, sandboxUrl, apiKey };

/** Both have drawn before they are saved, so that their generators are seeded; then they draw once for each `/tmp/draw-<n>`. */
const PYTHON = `
import os, secrets, time, uuid

def draw():
    return [secrets.token_hex(8), str(uuid.uuid4()), os.urandom(8).hex(), os.getrandom(8).hex()]

draw()
n = 1
while True:
    if os.path.exists(f'/tmp/draw-{n}'):
        open('/tmp/python.new', 'w').write('\\n'.join(draw()))
        os.rename('/tmp/python.new', f'/tmp/python-{n}')
        n += 1
    time.sleep(0.02)
`;
/** Does as docs/clones.md says: its own generator until the sandbox is another one, then the kernel's. */
const NODE = `
const { existsSync, openSync, readFileSync, readSync, renameSync, writeFileSync } = require('node:fs');
const { randomBytes, randomUUID } = require('node:crypto');
const generation = () => readFileSync('/run/islet/generation', 'utf8');
const born = generation();
const urandom = openSync('/dev/urandom', 'r');
const kernel = (length) => { const bytes = Buffer.alloc(length); readSync(urandom, bytes); return bytes; };
const draw = () => (generation() === born ? randomBytes(8) : kernel(8)).toString('hex');
randomUUID();
draw();
let n = 1;
setInterval(() => {
  if (!existsSync('/tmp/draw-' + n)) return;
  writeFileSync('/tmp/node.new', [draw(), generation()].join('\\n'));
  renameSync('/tmp/node.new', '/tmp/node-' + n++);
}, 20);
`;

/** What a sandbox is known by, and what programs in it draw, by name. */
type Traits = Record<string, string>;

async function traitsOf({ commands, files }: Sandbox, draw: number): Promise<Traits> {
  const read = async (path: string) => (await files.read(path)).trim();
  await files.write(`/tmp/draw-${draw}`, '');
  const drawn = async (program: string) => {
    const there = () => files.exists(`/tmp/${program}-${draw}`);
    await until(`${program} has drawn`, 60_000, there, (exists) => exists);
    return (await read(`/tmp/${program}-${draw}`)).split('\n');
  };
  const [secret, uuid, urandom, getrandom] = await drawn('python');
  const [ofNode, generationOfNode] = await drawn('node');
  const { stdout } = await commands.run('hostname; echo $E2B_SANDBOX_ID; node -p "crypto.randomUUID()"');
  const [hostname, id, uuidOfNewNode] = stdout.trim().split('\n');
  return {
    'secrets of Python': secret ?? '',
    'uuid4 of Python': uuid ?? '',
    'os.urandom of Python': urandom ?? '',
    'os.getrandom of Python': getrandom ?? '',
    'draw of Node that knows its generation': ofNode ?? '',
    'generation as Node sees it': generationOfNode ?? '',
    'randomUUID of a Node started now': uuidOfNewNode ?? '',
    hostname: hostname ?? '',
    'sandbox id': id ?? '',
    'hostname in /etc': await read('/etc/hostname'),
    'machine id': await read('/etc/machine-id'),
    'boot id': await read('/proc/sys/kernel/random/boot_id'),
    generation: await read('/run/islet/generation'),
  };
}

const LASTING = ['hostname', 'sandbox id', 'hostname in /etc', 'machine id', 'boot id'];

describe('sandboxes that go on from one moment', () => {
  let original: Sandbox;
  let before: Traits;
  let all: { name: string; traits: Traits }[];
  const clones: Sandbox[] = [];
  let snapshotId: string | undefined;

  beforeAll(async () => {
    original = await Sandbox.create('base', connection);
    await original.files.write('/tmp/draw.py', PYTHON);
    await original.files.write('/tmp/draw.js', NODE);
    const forever = { background: true as const, timeoutMs: 0 };
    await original.commands.run('python3 /tmp/draw.py', forever);
    await original.commands.run('node /tmp/draw.js', forever);
    before = await traitsOf(original, 1);
    ({ snapshotId } = await original.createSnapshot());
    const fromSnapshot = [snapshotId, snapshotId].map((id) => Sandbox.create(id, connection));
    for (const started of await Promise.all(fromSnapshot)) clones.push(started);
    for (const forked of await original.fork({ count: 2, timeoutMs: 300_000 })) {
      if (forked instanceof Error) throw forked;
      clones.push(forked);
    }
    const named = [original, ...clones].map((sandbox, index) => ({ name: `sandbox ${index}`, sandbox }));
    all = await Promise.all(
      named.map(async ({ name, sandbox }) => ({ name, traits: await traitsOf(sandbox, 2) })),
    );
  });
  afterAll(async () => {
    await Promise.all([original, ...clones].map((sandbox) => sandbox?.kill()));
    if (snapshotId) await Sandbox.deleteSnapshot(snapshotId, connection);
  });

  it('have no trait and no random draw in common', () => {
    expect(all).toHaveLength(5);
    for (const trait of Object.keys(before)) {
      const values = all.map(({ traits }) => traits[trait]);
      expect(values, trait).not.toContain('');
      expect(new Set(values).size, trait).toBe(all.length);
    }
  });

  it('leave the original as it was', () => {
    const [first] = all;
    for (const trait of [...LASTING, 'generation']) expect(first?.traits[trait], trait).toBe(before[trait]);
  });

  it('stay who they are over a pause, with a new generation; a reboot is another boot', async () => {
    await original.pause();
    const resumed = await Sandbox.connect(original.sandboxId, connection);
    const after = await traitsOf(resumed, 3);
    for (const trait of LASTING) expect(after[trait], trait).toBe(before[trait]);
    for (const trait of Object.keys(before).filter((name) => !LASTING.includes(name))) {
      expect(after[trait], trait).not.toBe(before[trait]);
    }
    await resumed.pause({ keepMemory: false });
    const rebooted = await Sandbox.connect(original.sandboxId, connection);
    const read = async (path: string) => (await rebooted.files.read(path)).trim();
    expect(await read('/etc/machine-id')).toBe(before['machine id']);
    expect(await read('/proc/sys/kernel/random/boot_id')).not.toBe(before['boot id']);
    expect(await read('/run/islet/generation')).not.toBe(after.generation);
  });
});
