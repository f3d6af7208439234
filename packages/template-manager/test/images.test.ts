import { randomUUID } from 'node:crypto';
import {
  access,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cgroups } from '@islet/host';
import { Header } from 'tar';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ImageCredentials } from '../src/builds/build-spec.ts';
import { openCells } from '../src/host/cells.ts';
import { ecrLogin, loginOf } from '../src/images/credentials.ts';
import { ImageError } from '../src/images/image-error.ts';
import { Images, type Registries } from '../src/images/images.ts';
import { createRegistryPolicy } from '../src/images/registry-policy.ts';
import { machineDisk } from '../src/layers/disk.ts';
import { createLayerStore } from '../src/layers/layer-store.ts';
import { copyWithoutLayers, pushImage } from './image.ts';
import { freePort, LOGIN, startRegistry, type TestRegistry } from './registry.ts';

const signal = new AbortController().signal;
const INSTANCE = `test-${process.pid}`;
const file = (name: string, text: string) => async (dir: string) => {
  await writeFile(join(dir, name), text);
  return undefined;
};
/** A tar archive with names and links as they are given, whatever they are. */
const archive = (
  ...entries: { path: string; type: 'File' | 'SymbolicLink'; linkpath?: string; text?: string }[]
) => {
  const blocks = entries.flatMap(({ text = '', ...entry }) => {
    const header = new Header({
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtime: new Date(0),
      size: text.length,
      ...entry,
    });
    header.encode();
    const content = Buffer.alloc(Math.ceil(text.length / 512) * 512);
    content.write(text);
    return [header.block ?? Buffer.alloc(0), content];
  });
  return async () => Buffer.concat([...blocks, Buffer.alloc(1024)]);
};

describe.runIf(process.getuid?.() === 0)('images', () => {
  let open: TestRegistry;
  let closed: TestRegistry;
  let dir: string;
  let images: Images;
  /** Of an Islet that strangers may build on. */
  let shut: Images;
  let using: (registries: Registries) => Images;

  beforeAll(async () => {
    open = await startRegistry({ withPassword: false });
    closed = await startRegistry({ withPassword: true });
  });
  afterAll(async () => {
    await open?.[Symbol.asyncDispose]();
    await closed?.[Symbol.asyncDispose]();
    await new Cgroups().remove(`islet-${INSTANCE}`);
  });
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-images-'));
    const noLock = async () => ({ [Symbol.asyncDispose]: async () => {} });
    const layers = createLayerStore(join(dir, 'layers'), noLock, machineDisk);
    await mkdir(join(dir, 'images'));
    const cells = await openCells(INSTANCE);
    using = (registries) =>
      new Images({
        ...{ dir: join(dir, 'images'), gatesDir: dir, layers, cells, arch: process.arch, registries },
        pace: { bytes: 1, everyMs: 60_000 },
      });
    images = using({
      policy: createRegistryPolicy({ allow: [], ownNetworks: true }),
      proxyFor: () => undefined,
    });
    shut = using({
      policy: createRegistryPolicy({ allow: [], ownNetworks: false }),
      proxyFor: () => undefined,
    });
    return () => rm(dir, { recursive: true });
  });

  const pull = (
    reference: string,
    more: {
      credentials?: ImageCredentials;
      teamId?: string;
      force?: boolean;
      diskLimitMb?: number;
      from?: Images;
    } = {},
  ) =>
    (more.from ?? images).pull(
      {
        image: { reference, credentials: more.credentials },
        teamId: more.teamId ?? 'team',
        force: more.force ?? false,
        diskLimitMb: more.diskLimitMb ?? 1024,
        onProgress: () => {},
      },
      signal,
    );
  const basic = (password: string): ImageCredentials => ({ kind: 'basic', ...LOGIN, password });

  it('are unpacked with what later layers remove and replace', async () => {
    const name = await pushImage(open, 'plain:1', {
      layers: [
        async (root) => {
          await mkdir(join(root, 'kept'));
          await mkdir(join(root, 'emptied'));
          await writeFile(join(root, 'kept/a'), 'one');
          await writeFile(join(root, 'kept/gone'), '');
          await writeFile(join(root, 'emptied/old'), '');
          await symlink('/kept', join(root, 'link'));
          return undefined;
        },
        async (root) => {
          await mkdir(join(root, 'kept'));
          await mkdir(join(root, 'emptied'));
          await writeFile(join(root, 'kept/a'), 'two', { mode: 0o755 });
          await writeFile(join(root, 'kept/.wh.gone'), '');
          await writeFile(join(root, 'emptied/.wh..wh..opq'), '');
          return undefined;
        },
      ],
      config: { Env: ['PATH=/opt/bin', 'EMPTY=', 'A=b=c'], User: '1000' },
    });
    const pulled = await pull(name);
    expect(pulled.env).toEqual({ PATH: '/opt/bin', EMPTY: '', A: 'b=c' });
    const { rootfsDir } = pulled;
    expect((await readdir(rootfsDir)).sort()).toEqual(['emptied', 'kept', 'link']);
    expect(await readdir(join(rootfsDir, 'kept'))).toEqual(['a']);
    expect(await readdir(join(rootfsDir, 'emptied'))).toEqual([]);
    expect(await readFile(join(rootfsDir, 'kept/a'), 'utf8')).toBe('two');
    expect((await stat(join(rootfsDir, 'kept/a'))).mode & 0o777).toBe(0o755);
  });

  it('are asked for once a team, and again if that is forced', async () => {
    const name = await pushImage(open, 'moving:latest', { layers: [file('version', '1')] });
    const first = await pull(name);
    await pushImage(open, 'moving:latest', { layers: [file('version', '2')] });
    expect(await pull(name)).toEqual({ ...first, cached: true });
    const other = await pull(name, { teamId: 'another' });
    expect(await readFile(join(other.rootfsDir, 'version'), 'utf8')).toBe('2');
    expect((await pull(name, { force: true })).digest).toBe(other.digest);
    expect(await readdir(join(dir, 'images/pulls'))).toEqual([]);
  });

  it('behind a password are for those who know it', async () => {
    const name = await pushImage(closed, 'secret/app:1', { layers: [file('secret', '')] });
    const denied = `access denied to '${name}': authentication required or insufficient permissions`;
    await expect(pull(name)).rejects.toThrow(denied);
    await expect(pull(name, { credentials: basic('wrong') })).rejects.toThrow(denied);
    const { rootfsDir } = await pull(name, { credentials: basic(LOGIN.password) });
    expect(await readdir(rootfsDir)).toEqual(['secret']);
    // What one team has pulled is no proof for another.
    await expect(pull(name, { teamId: 'another' })).rejects.toThrow(denied);
  });

  it('that are not there, or are for other machines, are told so', async () => {
    const missing = `${open.host}/nothing:1`;
    await expect(pull(missing)).rejects.toThrow(
      `image '${missing}' not found: the image or tag does not exist in the registry`,
    );
    const down = `127.0.0.1:${await freePort()}/app`;
    await expect(pull(down)).rejects.toThrow(`the registry of image '${down}' cannot be reached`);
    const foreign = await pushImage(open, 'foreign:1', { layers: [file('a', '')], architecture: 's390x' });
    await expect(pull(foreign)).rejects.toThrow(/is for linux\/s390x, and this machine is linux/);
    for (const name of ['UPPER/case', '-rf', '../../etc', 'a b', 'host:99999999/x', '']) {
      await expect(pull(name)).rejects.toThrow(ImageError);
    }
  });

  it('whose layers are damaged are refused, and not kept', async () => {
    const damage = async (name: string, harm: (blob: string) => Promise<void>) => {
      const image = await pushImage(open, name, { layers: [file('data', randomUUID().repeat(1000))] });
      const link = join(
        open.dir,
        `docker/registry/v2/repositories/${name.replace(/:.*/, '')}/_layers/sha256`,
      );
      const sizes = await Promise.all(
        (await readdir(link)).map(async (hex) => {
          const path = join(open.dir, `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`);
          return { path, size: (await stat(path)).size };
        }),
      );
      const largest = sizes.sort((a, b) => b.size - a.size)[0];
      await harm(largest?.path ?? '');
      await expect(pull(image)).rejects.toThrow(`image '${image}' is damaged`);
      expect(await readdir(join(dir, 'layers')).catch(() => [])).toEqual([]);
    };
    await damage('short:1', (blob) => truncate(blob, 100));
    await damage('changed:1', async (blob) => {
      const bytes = await readFile(blob);
      bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 0xff, bytes.length >> 1);
      await writeFile(blob, bytes);
    });
  });

  it('that unpack to more than the team may use are refused', async () => {
    const zeros = async (root: string) => {
      await writeFile(join(root, 'zeros'), Buffer.alloc(8 * 1024 ** 2));
      return undefined;
    };
    const name = await pushImage(open, 'large:1', { layers: [zeros] });
    const message = `image '${name}' is too large: its files take more than the 4 MiB`;
    await expect(pull(name, { diskLimitMb: 4 })).rejects.toThrow(message);
    expect(await readdir(join(dir, 'layers'))).toEqual([]);
    await pull(name);
    await expect(pull(name, { diskLimitMb: 4 })).rejects.toThrow(message);
    await expect(pull(name, { diskLimitMb: 4, teamId: 'other' })).rejects.toThrow(message);
  });

  it('that unpack to more files than the team has room for are refused', async () => {
    const files = Array.from({ length: 2_000 }, (_, n) => ({ path: `${n}`, type: 'File' as const }));
    const name = await pushImage(open, 'many:1', { layers: [archive(...files)] });
    await expect(pull(name, { diskLimitMb: 4 })).rejects.toThrow('is too large');
    await pull(name, { diskLimitMb: 16 });
  });

  it('share layers within a team, and with no other that knows their digests', async () => {
    const secret = await pushImage(closed, 'secret/app:2', { layers: [file('secret', randomUUID())] });
    await pull(secret, { credentials: basic(LOGIN.password) });
    // The same image in a registry that has no more of it than the manifest and the configuration.
    const copied = await copyWithoutLayers(closed, 'secret/app', '2', open, 'stolen');
    await expect(pull(copied, { teamId: 'another' })).rejects.toThrow(ImageError);
    const { rootfsDir } = await pull(copied);
    expect(await readdir(rootfsDir)).toEqual(['secret']);
  });

  it('come only from where builds may go', async () => {
    const name = await pushImage(open, 'guarded:1', { layers: [file('a', '')] });
    const message = /builds may not reach .* --registry-allow/;
    await expect(pull(name, { from: shut })).rejects.toThrow(message);
    await expect(pull('169.254.169.254/latest:1')).rejects.toThrow(message);
    await expect(pull('[::ffff:a9fe:a9fe]/latest:1')).rejects.toThrow(message);
    // A name of this machine's, which only the way out can see through.
    await expect(pull('registry.localhost:1/image', { from: shut })).rejects.toThrow(message);
    await pull(name);
  });

  it('come through the way out that looks where they come from', async () => {
    await using registry = await startRegistry({ withPassword: true, tls: true });
    const pushed = await pushImage(registry, 'private:1', { layers: [file('a', 'through')] });
    const name = pushed.replace('127.0.0.1', 'registry.localhost');
    vi.stubEnv('SSL_CERT_FILE', registry.certificate);
    try {
      await expect(pull(name, { credentials: basic('wrong') })).rejects.toThrow(/access denied/);
      const { rootfsDir } = await pull(name, { credentials: basic(LOGIN.password) });
      expect(await readFile(join(rootfsDir, 'a'), 'utf8')).toBe('through');
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it("come through the operator's proxy, under a name and under an address", async () => {
    await using registry = await startRegistry({ withPassword: false, tls: true });
    const asked: string[] = [];
    const server = createServer().on('connect', (request, client) => {
      asked.push(`${request.headers['proxy-authorization']} ${request.url}`);
      const upstream = connect(Number(registry.host.split(':')[1]), '127.0.0.1', () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n');
        client.pipe(upstream).pipe(client);
      });
      for (const socket of [client, upstream]) socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    vi.stubEnv('SSL_CERT_FILE', registry.certificate);
    try {
      const pushed = await pushImage(registry, 'proxied:1', { layers: [file('a', '')] });
      const name = pushed.replace('127.0.0.1', 'registry.localhost');
      const { port } = server.address() as AddressInfo;
      for (const host of ['127.0.0.1', 'localhost']) {
        const proxy = new URL(`http://me:secret@${host}:${port}`);
        const policy = createRegistryPolicy({ allow: [], ownNetworks: false });
        await pull(name, { from: using({ policy, proxyFor: () => proxy }), force: true });
        expect(asked.splice(0)).toContain(
          `Basic ${Buffer.from('me:secret').toString('base64')} ${name.replace('/proxied:1', '')}`,
        );
      }
    } finally {
      vi.unstubAllEnvs();
      server.closeAllConnections();
      server.close();
    }
  });

  it('cannot write outside of their folder', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'islet-outside-'));
    try {
      const name = await pushImage(open, 'hostile:1', {
        layers: [
          archive(
            { path: 'absolute', type: 'SymbolicLink', linkpath: outside },
            { path: 'up', type: 'SymbolicLink', linkpath: '../../../../../../../../../../' },
            { path: `../../../../../../../..${outside}/dots`, type: 'File', text: 'x' },
          ),
          archive(
            { path: 'absolute/through-link', type: 'File', text: 'x' },
            { path: `up${outside}/through-up`, type: 'File', text: 'x' },
          ),
        ],
      });
      await pull(name).catch((error) => expect(error).toBeInstanceOf(ImageError));
      expect(await readdir(outside)).toEqual([]);
      await expect(access('/absolute')).rejects.toThrow();
    } finally {
      await rm(outside, { recursive: true });
    }
  });
});

describe('credentials of clouds', () => {
  it('of AWS are traded for a password of the registry, in a signed request', async () => {
    let authorization = '';
    const server = createServer((request, response) => {
      authorization = request.headers.authorization ?? '';
      const known = authorization.includes('Credential=AKIDEXAMPLE/');
      response.statusCode = known ? 200 : 400;
      const authorizationToken = Buffer.from('AWS:token of the registry').toString('base64');
      response.end(JSON.stringify(known ? { authorizationData: [{ authorizationToken }] } : {}));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      const aws = {
        kind: 'aws',
        accessKeyId: 'AKIDEXAMPLE',
        secretAccessKey: 'secret',
        region: 'eu-west-1',
      } as const;
      const login = await ecrLogin(aws, address, signal);
      expect(login).toEqual({ username: 'AWS', password: 'token of the registry' });
      expect(authorization).toMatch(
        /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-west-1\/ecr\/aws4_request, SignedHeaders=\S*, Signature=[0-9a-f]{64}$/,
      );
      await expect(ecrLogin({ ...aws, accessKeyId: 'OTHER' }, address, signal)).rejects.toThrow(/status 400/);
      await expect(loginOf({ ...aws, region: 'evil.example/' }, signal)).rejects.toThrow(/not an AWS region/);
    } finally {
      server.close();
    }
  });

  it('of Google are the key itself', async () => {
    const serviceAccountJson = JSON.stringify({ type: 'service_account', private_key: 'k' });
    const login = await loginOf({ kind: 'gcp', serviceAccountJson }, signal);
    expect(login).toEqual({ username: '_json_key', password: serviceAccountJson });
    await expect(loginOf({ kind: 'gcp', serviceAccountJson: 'k' }, signal)).rejects.toThrow(
      /not the JSON key/,
    );
  });
});
