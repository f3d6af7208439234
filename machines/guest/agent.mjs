// What a program of the user's does with the official SDK. Prints one JSON object; fails if anything is not as it should be.
//   node agent.mjs create | command ID | core | leave | find ID | reach URL
import assert from 'node:assert/strict';
import { Sandbox, Volume } from 'e2b';

/** A translated machine takes its time. */
const PATIENT = { requestTimeoutMs: 600_000, timeoutMs: 600_000 };
const LIFE = { ...PATIENT, timeoutMs: 3_000_000 };

/** A sandbox that lives until somebody ends it. */
async function create() {
  const { sandboxId } = await Sandbox.create(LIFE);
  return { sandboxId };
}

/** One command in a sandbox that somebody else made. */
async function command(id) {
  const sandbox = await Sandbox.connect(id, PATIENT);
  const { stdout } = await sandbox.commands.run('echo works; id -un', PATIENT);
  assert.equal(stdout, 'works\nuser\n');
  assert.equal(await sandbox.kill(), true);
  return { stdout };
}

/** The core: life, commands, files, ports, pause, fork, snapshot, volume. Names what passed. */
async function core() {
  const passed = [];
  const check = async (name, work) => {
    const result = await work();
    passed.push(name);
    process.stderr.write(`  ${name}\n`);
    return result;
  };
  const sandbox = await check('create', () => Sandbox.create(LIFE));
  const run = (text, options) => sandbox.commands.run(text, { ...PATIENT, ...options });
  await check('command', async () => {
    assert.equal((await run('python3 -c "print(6 * 7)"')).stdout, '42\n');
    await assert.rejects(run('exit 3'), /3/);
  });
  await check('sudo', async () => assert.equal((await run('sudo id -u')).stdout, '0\n'));
  await check('files', async () => {
    await sandbox.files.write('/home/user/deep/er/note.txt', 'kept');
    assert.equal(await sandbox.files.read('/home/user/deep/er/note.txt'), 'kept');
    assert.deepEqual(
      (await sandbox.files.list('/home/user/deep')).map(({ name }) => name),
      ['er'],
    );
    await sandbox.files.rename('/home/user/deep/er/note.txt', '/home/user/note.txt');
    await sandbox.files.remove('/home/user/deep');
    assert.equal(await sandbox.files.exists('/home/user/deep'), false);
  });
  await check('background process and stdin', async () => {
    const process = await run('cat', { background: true, stdin: true });
    await sandbox.commands.sendStdin(process.pid, 'typed\n');
    await sandbox.commands.closeStdin(process.pid);
    assert.equal((await process.wait()).stdout, 'typed\n');
  });
  await check('terminal', async () => {
    let seen = '';
    const decoder = new TextDecoder();
    const pty = await sandbox.pty.create({
      cols: 80,
      rows: 24,
      onData: (data) => (seen += decoder.decode(data)),
      ...PATIENT,
    });
    await sandbox.pty.sendInput(pty.pid, new TextEncoder().encode('echo t$((1+1))y; exit\n'));
    await pty.wait();
    assert.match(seen, /t2y/);
  });
  await check('port', async () => {
    await run('python3 -m http.server 8000 --directory /home/user', { background: true, timeoutMs: 0 });
    assert.equal(
      await (await patiently(() => fetch(`http://${sandbox.getHost(8000)}/note.txt`))).text(),
      'kept',
    );
  });
  await check('pause and connect', async () => {
    await run('echo $RANDOM$RANDOM > /dev/shm/number');
    const before = (await run('cat /dev/shm/number')).stdout;
    await sandbox.pause(PATIENT);
    await Sandbox.connect(sandbox.sandboxId, LIFE);
    assert.equal((await run('cat /dev/shm/number')).stdout, before);
  });
  await check('fork', async () => {
    const [twin] = await sandbox.fork(PATIENT);
    if (twin instanceof Error) throw twin;
    assert.equal((await twin.commands.run('cat /home/user/note.txt', PATIENT)).stdout, 'kept');
    await twin.kill();
  });
  await check('snapshot', async () => {
    const { snapshotId } = await sandbox.createSnapshot(PATIENT);
    const clone = await Sandbox.create(snapshotId, LIFE);
    assert.equal(await clone.files.read('/home/user/note.txt'), 'kept');
    await clone.kill();
    assert.equal(await Sandbox.deleteSnapshot(snapshotId, PATIENT), true);
  });
  await check('volume', async () => {
    const volume = await Volume.create(`machine-${Date.now()}`, PATIENT);
    await volume.writeFile('/note.txt', 'on a volume', PATIENT);
    const reader = await Sandbox.create({ ...LIFE, volumeMounts: { '/mnt/data': volume } });
    assert.equal((await reader.commands.run('cat /mnt/data/note.txt', PATIENT)).stdout, 'on a volume');
    await reader.kill();
    await Volume.destroy(volume.volumeId, PATIENT);
  });
  await check('kill', async () => {
    assert.equal(await sandbox.kill(), true);
    assert.equal(await Sandbox.kill(sandbox.sandboxId, PATIENT), false);
  });
  return { passed };
}

/** Leaves a sandbox paused, with a file, a process and something in memory only. */
async function leave() {
  const sandbox = await Sandbox.create(LIFE);
  await sandbox.files.write('/home/user/note.txt', 'kept');
  await sandbox.commands.run('echo "in memory" > /dev/shm/note', PATIENT);
  await sandbox.commands.run('sleep 123456', {
    background: true,
    timeoutMs: 0,
    requestTimeoutMs: PATIENT.requestTimeoutMs,
  });
  await sandbox.pause(PATIENT);
  return { sandboxId: sandbox.sandboxId };
}

/** Finds what `leave` left, whatever happened to the machine meanwhile. */
async function find(id) {
  const sandbox = await Sandbox.connect(id, LIFE);
  assert.equal(await sandbox.files.read('/home/user/note.txt'), 'kept');
  assert.equal((await sandbox.commands.run('cat /dev/shm/note', PATIENT)).stdout, 'in memory\n');
  assert.ok(
    (await sandbox.commands.list()).some(({ args, cmd }) => `${cmd} ${args.join(' ')}`.includes('123456')),
  );
  return { sandboxId: id };
}

/** Whether a sandbox gets an answer from a server outside. */
async function reach(url) {
  const sandbox = await Sandbox.create(LIFE);
  const script = `import urllib.request; urllib.request.urlopen('${url}', timeout=60)`;
  const { exitCode } = await sandbox.commands.run(`python3 -c "${script}"`, PATIENT).catch((error) => error);
  assert.equal(typeof exitCode, 'number');
  await sandbox.kill();
  return { reached: exitCode === 0 };
}

async function patiently(ask) {
  for (const deadline = Date.now() + PATIENT.timeoutMs; ; ) {
    const response = await ask().catch((error) => error);
    if (response.status === 200 || Date.now() > deadline) return response;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

const DEEDS = { create, command, core, leave, find, reach };
const [deed, ...args] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify(await DEEDS[deed](...args))}\n`);
