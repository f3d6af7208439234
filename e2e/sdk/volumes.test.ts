import { randomBytes } from 'node:crypto';
import { Sandbox, Volume, VolumeError, VolumeNotFoundError, VolumePathNotFoundError } from 'e2b';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connection, newSandbox, rejection, withSandbox } from './sandbox.ts';

/** Where the SDK finds volumes' content: what `./islet up` prints as E2B_VOLUME_API_URL. */
const content = { apiUrl: connection.apiUrl };
const MOUNT = '/mnt/data';
/** Programs in a virtual machine without KVM take their time. */
const PATIENT = { timeout: 60_000 };

const made: Volume[] = [];
const newVolume = async (name = `v-${randomBytes(6).toString('hex')}`): Promise<Volume> => {
  const volume = await Volume.create(name, connection);
  made.push(volume);
  return volume;
};
afterEach(async () => {
  for (const volume of made.splice(0)) await Volume.destroy(volume.volumeId, connection);
});

const names = async (volume: Volume, path = '/', depth = 1) =>
  (await volume.list(path, { ...content, depth })).map((entry) => entry.path);
const run = async (sandbox: Sandbox, command: string) =>
  (await sandbox.commands.run(command)).stdout.trimEnd();

describe('a volume', () => {
  it('is made, found, listed and destroyed', async () => {
    const volume = await newVolume();
    const info = await Volume.getInfo(volume.volumeId, connection);
    expect(info).toMatchObject({ volumeId: volume.volumeId, name: volume.name });
    expect(await Volume.list(connection)).toContainEqual({ volumeId: volume.volumeId, name: volume.name });
    const connected = await Volume.connect(volume.volumeId, connection);
    expect(await names(connected)).toEqual([]);
    expect(await Volume.destroy(volume.volumeId, connection)).toBe(true);
    expect(await Volume.destroy(volume.volumeId, connection)).toBe(false);
    expect(await rejection(Volume.getInfo(volume.volumeId, connection))).toBeInstanceOf(VolumeNotFoundError);
    await expect(volume.list('/', content)).rejects.toThrow(VolumePathNotFoundError);
  });

  it('needs a name that no other volume of the team has, and that is one', async () => {
    const { name } = await newVolume();
    await expect(newVolume(name)).rejects.toThrow(`400: Volume with name '${name}' already exists`);
    for (const bad of ['', 'a b', 'a/b', '..', 'ü', 'x'.repeat(200)]) {
      await expect(newVolume(bad), bad).rejects.toThrow('400: Invalid volume name');
    }
  });

  it('keeps files and directories', async () => {
    const volume = await newVolume();
    const written = await volume.writeFile('/note.txt', 'Grüße', content);
    expect(written).toMatchObject({ name: 'note.txt', path: '/note.txt', type: 'file', size: 7, uid: 1000 });
    expect(await volume.readFile('/note.txt', content)).toBe('Grüße');
    expect(Date.now() - written.mtime.getTime()).toBeLessThan(60_000);
    const made = await volume.makeDir('/a/b', { ...content, force: true, mode: 0o750, uid: 7, gid: 8 });
    expect(made).toMatchObject({ type: 'directory', mode: 0o750, uid: 7, gid: 8 });
    await volume.writeFile('/a/b/c', new Uint8Array([0, 255, 10]).buffer, content);
    expect(await volume.readFile('/a/b/c', { ...content, format: 'bytes' })).toEqual(
      new Uint8Array([0, 255, 10]),
    );
    expect(await names(volume)).toEqual(['/a', '/note.txt']);
    expect(await names(volume, '/', 3)).toEqual(['/a', '/a/b', '/a/b/c', '/note.txt']);
    const changed = await volume.updateMetadata('/note.txt', { mode: 0o600, uid: 5 }, content);
    expect(changed).toMatchObject({ mode: 0o600, uid: 5, gid: 1000 });
    await volume.writeFile('/note.txt', '', content);
    expect(await volume.readFile('/note.txt', content)).toBe('');
    await volume.remove('/a', content);
    expect(await names(volume)).toEqual(['/note.txt']);
    expect(await volume.exists('/a', content)).toBe(false);
  });

  it('tells what is missing, in the way or not allowed', async () => {
    const volume = await newVolume();
    await volume.writeFile('/f', 'x', content);
    for (const missing of [
      () => volume.readFile('/none', content),
      () => volume.readFile('/none', { ...content, format: 'stream' }),
      () => volume.list('/none', content),
      () => volume.remove('/none', content),
      () => volume.makeDir('/none/d', content),
      () => volume.writeFile('/none/f', 'x', content),
      () => volume.updateMetadata('/none', { mode: 0o600 }, content),
    ]) {
      expect(await rejection(missing())).toBeInstanceOf(VolumePathNotFoundError);
    }
    for (const [call, text] of [
      [() => volume.list('/f', content), "400: path '/f' is not a directory"],
      [() => volume.makeDir('/f', content), "409: path '/f' already exists"],
      [() => volume.writeFile('/f', 'y', { ...content, force: false }), "409: path '/f' already exists"],
      [() => volume.remove('/', content), '400: the root of a volume cannot be removed'],
      [() => volume.readFile('/../etc/passwd', content), "400: path must not contain '..'"],
      [() => volume.list('/', { ...content, token: 'nonsense' }), 'the volume token is not valid'],
    ] as const) {
      await expect(call()).rejects.toThrow(text);
    }
    expect(await volume.readFile('/f', content)).toBe('x');
  });

  it('takes and gives streams of any length', async () => {
    const volume = await newVolume();
    const chunk = randomBytes(1024 * 1024);
    const source = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let i = 0; i < 24; i++) controller.enqueue(chunk);
        controller.close();
      },
    });
    expect((await volume.writeFile('/big', source, content)).size).toBe(24 * chunk.length);
    const stream = await volume.readFile('/big', { ...content, format: 'stream' });
    let position = 0;
    for await (const part of stream as unknown as AsyncIterable<Uint8Array>) {
      const expected = Buffer.concat([chunk, chunk]).subarray(position % chunk.length);
      expect(Buffer.from(part).equals(expected.subarray(0, part.length))).toBe(true);
      position += part.length;
    }
    expect(position).toBe(24 * chunk.length);
  });
});

describe('a volume in sandboxes', () => {
  let volume: Volume;
  let first: Sandbox;
  let second: Sandbox;
  beforeAll(async () => {
    volume = await Volume.create(`v-${randomBytes(6).toString('hex')}`, connection);
    [first, second] = await Promise.all([
      newSandbox({ volumeMounts: { [MOUNT]: volume } }),
      newSandbox({ volumeMounts: { '/home/user/shared': volume.name } }),
    ]);
  });
  afterAll(async () => {
    await Promise.all([first?.kill(), second?.kill()]);
    await Volume.destroy(volume.volumeId, connection);
  });

  it('is seen by both, with content and metadata, while both run', async () => {
    await run(first, `echo one > ${MOUNT}/f && chmod 640 ${MOUNT}/f`);
    expect(await run(second, 'cat shared/f && stat -c "%a %U" shared/f')).toBe('one\n640 user');
    await run(second, 'echo two >> shared/f && chmod 600 shared/f && mv shared/f shared/g');
    expect(await run(first, `cat ${MOUNT}/g && stat -c %a ${MOUNT}/g; ls ${MOUNT}`)).toBe('one\ntwo\n600\ng');
    await run(first, `rm ${MOUNT}/g`);
    expect(await run(second, 'ls shared')).toBe('');
  });

  it('shows what is written from outside, and the reverse', async () => {
    await volume.writeFile('/from-outside', 'hello', content);
    expect(await run(first, `cat ${MOUNT}/from-outside && echo more >> ${MOUNT}/from-outside`)).toBe('hello');
    expect(await volume.readFile('/from-outside', content)).toBe('hellomore\n');
    await first.files.write(`${MOUNT}/by-envd`, 'x');
    expect(await names(volume)).toContain('/by-envd');
    await volume.remove('/by-envd', content);
    expect(await second.files.exists('/home/user/shared/by-envd')).toBe(false);
  });

  it('is told of by the sandbox', async () => {
    expect((await first.getInfo()).volumeMounts).toEqual([{ name: volume.name, path: MOUNT }]);
    expect(await run(first, `df --output=target ${MOUNT} | tail -1`)).toBe(MOUNT);
  });

  it('is not destroyed under them', async () => {
    await expect(Volume.destroy(volume.volumeId, connection)).rejects.toThrow(
      /^409: the volume is mounted by sandbox/,
    );
    expect(await rejection(Volume.destroy(volume.volumeId, connection))).toBeInstanceOf(VolumeError);
    expect(await run(first, `touch ${MOUNT}/still && ls ${MOUNT}/still`)).toBe(`${MOUNT}/still`);
  });

  it('never leads out of itself, whatever links a sandbox makes', async () => {
    await run(
      first,
      `cd ${MOUNT} && ln -sfn /etc etc && ln -sf ../../../../etc/passwd up && ln -sf still inside`,
    );
    for (const path of ['/etc/passwd', '/up', '/etc']) {
      await expect(volume.readFile(path, content)).rejects.toThrow(/^400: .* leads out of the volume/);
    }
    await expect(volume.writeFile('/etc/islet-was-here', 'x', content)).rejects.toThrow(/leads out/);
    expect(await volume.readFile('/inside', content)).toBe('');
    expect(await volume.getInfo('/etc', content)).toMatchObject({ type: 'symlink', target: '/etc' });
    await volume.remove('/etc', content);
  });

  it('is the only thing of the host that they see beside their own', async () => {
    const command = 'ls /opt/islet/volumes; sudo touch /opt/islet/volumes/x 2>&1 | tail -c 23';
    expect(await run(first, command)).toBe(`${volume.volumeId}\n Read-only file system`);
  });
});

it('outlives its sandboxes', async () => {
  const volume = await newVolume();
  const volumeMounts = { [MOUNT]: volume };
  await withSandbox({ volumeMounts }, (sandbox) => run(sandbox, `echo kept > ${MOUNT}/f`));
  expect(await withSandbox({ volumeMounts }, (sandbox) => run(sandbox, `cat ${MOUNT}/f`))).toBe('kept');
});

it('is there after a pause, with the files that were open', async () => {
  const volume = await newVolume();
  await withSandbox({ volumeMounts: { [MOUNT]: volume } }, async (sandbox) => {
    const script = `cd ${MOUNT}; exec 3>>log; while :; do echo tick >&3; sleep 0.2; done`;
    await sandbox.commands.run(script, { background: true });
    await expect.poll(() => volume.exists('/log', content), PATIENT).toBe(true);
    await sandbox.pause();
    const before = (await volume.readFile('/log', content)).length;
    await volume.writeFile('/meanwhile', 'written', content);
    await expect(Volume.destroy(volume.volumeId, connection)).rejects.toThrow(/^409/);
    await sandbox.connect();
    expect(await run(sandbox, `cat ${MOUNT}/meanwhile`)).toBe('written');
    await expect
      .poll(async () => (await volume.readFile('/log', content)).length, PATIENT)
      .toBeGreaterThan(before);
  });
});

it('is there in a fork, and after a pause that kept no memory', async () => {
  const volume = await newVolume();
  await withSandbox({ volumeMounts: { [MOUNT]: volume } }, async (sandbox) => {
    await run(sandbox, `echo original > ${MOUNT}/f`);
    const [fork] = await sandbox.fork({ timeoutMs: 300_000 });
    if (!(fork instanceof Sandbox)) throw fork;
    try {
      expect(await run(fork, `cat ${MOUNT}/f && echo fork >> ${MOUNT}/f`)).toBe('original');
      expect(await run(sandbox, `cat ${MOUNT}/f`)).toBe('original\nfork');
      await expect(fork.createSnapshot()).rejects.toThrow(/^400: .*mounts volumes/);
    } finally {
      await fork.kill();
    }
    await sandbox.pause({ keepMemory: false });
    await sandbox.connect();
    expect(await run(sandbox, `cat ${MOUNT}/f`)).toBe('original\nfork');
  });
});

/** gVisor opens files again by name when it restores a sandbox; a virtual machine's kernel still knows which ones it had. */
const opensByName = process.env.ISLET_ISOLATION !== 'microvm';

it.runIf(opensByName)(
  'keeps a sandbox from being paused while a file of it is open that was removed',
  async () => {
    const volume = await newVolume();
    await withSandbox({ volumeMounts: { [MOUNT]: volume } }, async (sandbox) => {
      const holder = await sandbox.commands.run(`exec 3>${MOUNT}/held; sleep 1000`, { background: true });
      await expect.poll(() => volume.exists('/held', content), PATIENT).toBe(true);
      await volume.remove('/held', content);
      await expect(sandbox.pause()).rejects.toThrow(`has ${MOUNT}/held open`);
      expect(await run(sandbox, 'echo still here')).toBe('still here');
      await holder.kill();
      await rejection(holder.wait());
      expect(await sandbox.pause()).toBe(true);
      await sandbox.connect();
      expect(await run(sandbox, `ls ${MOUNT}`)).toBe('');
    });
  },
);

it.skipIf(opensByName)(
  'tells a program that a file it has open was removed, before a pause or meanwhile, and goes on',
  async () => {
    const volume = await newVolume();
    await withSandbox({ volumeMounts: { [MOUNT]: volume } }, async (sandbox) => {
      let heard = '';
      const script = `cd ${MOUNT}; exec 3>>held 4>>kept 5>>gone; while :; do echo x >&4; echo x >&3 || echo failed; sleep 0.2; done`;
      await sandbox.commands.run(script, { background: true });
      await expect.poll(() => volume.exists('/gone', content), PATIENT).toBe(true);
      await volume.remove('/gone', content);
      await sandbox.pause();
      await volume.remove('/held', content);
      await volume.writeFile('/held', 'another', content);
      const before = (await volume.readFile('/kept', content)).length;
      await sandbox.connect();
      const [program] = await sandbox.commands.list();
      await sandbox.commands.connect(program?.pid ?? 0, {
        onStderr: (text) => {
          heard += text;
        },
      });
      await expect.poll(() => heard, PATIENT).toContain('Stale file handle');
      await expect
        .poll(async () => (await volume.readFile('/kept', content)).length, PATIENT)
        .toBeGreaterThan(before);
      expect(await volume.readFile('/held', content)).toBe('another');
    });
  },
);

it.runIf(opensByName)(
  'keeps a paused sandbox from going on without a file that it had open, until that is back',
  async () => {
    const volume = await newVolume();
    await withSandbox({ volumeMounts: { [MOUNT]: volume } }, async (sandbox) => {
      await sandbox.commands.run(`exec 3>>${MOUNT}/held; while :; do echo x >&3; sleep 0.2; done`, {
        background: true,
      });
      await expect.poll(() => volume.exists('/held', content), PATIENT).toBe(true);
      await sandbox.pause();
      await volume.remove('/held', content);
      await expect(sandbox.connect()).rejects.toThrow(/had open when it was paused is gone/);
      await volume.writeFile('/held', 'back', content);
      await sandbox.connect();
      await expect.poll(() => volume.readFile('/held', content), PATIENT).toMatch(/^back.*x/s);
    });
  },
);

it('is refused at create where name or path is wrong, all of it at once', async () => {
  const volume = await newVolume();
  const create = (volumeMounts: Record<string, string>) => rejection(newSandbox({ volumeMounts }));
  const defects = await create({ relative: volume.name, '/a': 'none', '/proc/x': volume.name });
  expect(String(defects)).toContain(
    [
      '400: invalid mounts:',
      "\t- volume mount #0: path 'relative' is not absolute",
      "\t- volume mount #1: volume 'none' not found",
      "\t- volume mount #2: path '/proc/x' is in /proc, which is the system's own",
    ].join('\n'),
  );
  expect(String(await create({ '/etc/passwd': volume.name }))).toMatch(/400: .*\/etc\/passwd/);
});
