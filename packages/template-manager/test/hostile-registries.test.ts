import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cgroups } from '@islet/host';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openCells } from '../src/host/cells.ts';
import { ImageError } from '../src/images/image-error.ts';
import { Images } from '../src/images/images.ts';
import { createRegistryPolicy } from '../src/images/registry-policy.ts';
import { machineDisk } from '../src/layers/disk.ts';
import { createLayerStore } from '../src/layers/layer-store.ts';
import { endless, endlessHeads, type Lie, type LyingRegistry, startLyingRegistry } from './lying-registry.ts';

const MIB = 1024 ** 2;
const slow = { timeout: 120_000 };

describe.runIf(process.getuid?.() === 0)('a registry that lies', () => {
  let dir: string;
  let images: Images;
  let registry: LyingRegistry;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-lies-'));
    await mkdir(join(dir, 'images'));
    const noLock = async () => ({ [Symbol.asyncDispose]: async () => {} });
    images = new Images({
      dir: join(dir, 'images'),
      gatesDir: dir,
      layers: createLayerStore(join(dir, 'layers'), noLock, machineDisk),
      cells: await openCells(`lies-${process.pid}`),
      arch: process.arch,
      pace: { bytes: 1024, everyMs: 2_000 },
      registries: {
        policy: createRegistryPolicy({ allow: [], ownNetworks: true }),
        proxyFor: () => undefined,
      },
    });
    registry = await startLyingRegistry();
  });
  afterEach(async () => {
    await registry[Symbol.asyncDispose]();
    await new Cgroups().remove(`islet-lies-${process.pid}`);
    await rm(dir, { recursive: true });
  });

  const pull = (reference = registry.image) =>
    images.pull(
      {
        image: { reference, credentials: undefined },
        teamId: 'team',
        force: false,
        diskLimitMb: 1024,
        onProgress: () => {},
      },
      new AbortController().signal,
    );

  /** The pull fails for the registry's sake, soon, and leaves nothing. */
  async function refused(message: RegExp): Promise<void> {
    const failure: unknown = await pull().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ImageError);
    expect((failure as Error).message).toMatch(message);
    expect(await readdir(join(dir, 'images/pulls'))).toEqual([]);
    // What the kernel holds for both ends of a connection, beside what was let in.
    expect(registry.sentBytes).toBeLessThan(64 * MIB);
  }

  it('tells the truth at first', slow, async () => {
    await pull();
  });

  it('sends a layer without end', slow, async () => {
    registry.lie('layer', (_, response) => endless(response));
    await refused(/sends more than the image's manifest says/);
  });

  it('sends a layer without end that says how long it is', slow, async () => {
    registry.lie('layer', (_, response) => endless(response, 200, { 'content-length': String(2 ** 40) }));
    await refused(/sends more than the image's manifest says/);
  });

  it.each<[string, Lie]>([
    ['a manifest without end', (_, response) => endless(response)],
    ['an error without end', (_, response) => endless(response, 500)],
    ['heads without end', (_, response) => endlessHeads(response)],
    ['nothing at all', () => {}],
    ['a manifest that is none', (_, response) => response.end('['.repeat(3 * MIB))],
    [
      'redirects without end',
      (request, response) => response.writeHead(307, { location: request.url ?? '' }).end(),
    ],
  ])('answers with %s', slow, async (_, lie) => {
    registry.lie('manifest', lie);
    await refused(/./);
  });

  it('sends a layer byte by byte', slow, async () => {
    registry.lie('layer', (_, response) => {
      const drip = setInterval(() => response.write(' '), 50);
      response.once('close', () => clearInterval(drip));
    });
    await refused(/is too slow/);
  });

  it('has a configuration without end', slow, async () => {
    registry.lie('config', (_, response) => endless(response));
    await refused(/./);
  });

  it('names a place for tokens that never ends, and one that builds may not reach', slow, async () => {
    const challenge = (realm: string): Lie => {
      return (_, response) =>
        response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end();
    };
    registry.lie('ping', challenge(`http://${registry.host}/token`));
    registry.lie('manifest', challenge(`http://${registry.host}/token`));
    registry.lie('token', (_, response) => endless(response));
    await refused(/./);
    for (const lied of ['ping', 'manifest'] as const)
      registry.lie(lied, challenge('https://169.254.169.254/token'));
    await refused(/builds may not reach/);
  });

  it('leads to a layer that builds may not reach', slow, async () => {
    const location = 'https://169.254.169.254/latest';
    registry.lie('layer', (_, response) => response.writeHead(307, { location }).end());
    await refused(/builds may not reach/);
  });

  it('has an image of more layers than any', slow, async () => {
    await registry[Symbol.asyncDispose]();
    registry = await startLyingRegistry({ layers: 1000 });
    await refused(/of a kind that cannot be used/);
  });
});
