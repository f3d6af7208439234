import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { makePackages } from '../../packaging/main.ts';
import { DEPLOY } from './described.ts';

const run = promisify(execFile);

/** Made once on a machine: Debian with Node.js, which the registry's base images are elsewhere. */
const BASE_FILE = '/var/cache/islet-tests/deploy/debian-13-node.tar';
const BASE = 'localhost/islet-base';

/** What a container prints of itself when it is ready. */
export interface ReadyEvent {
  ports: Record<string, number>;
}

interface Inspected {
  OCIv1: { config: { Entrypoint: string[] } };
}

/** Images in a store of their own, built by buildah without a daemon. */
export class Images implements AsyncDisposable {
  readonly #dir: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #running = new Set<{ child: ChildProcess; ended: Promise<void> }>();

  private constructor(dir: string) {
    this.#dir = dir;
    this.#env = {
      ...process.env,
      // Without cgroups and networks of its own, as in a container of a build service.
      ...{ BUILDAH_ISOLATION: 'chroot', STORAGE_DRIVER: 'vfs' },
      CONTAINERS_CONF: join(dir, 'containers.conf'),
    };
  }

  /** Has the base and the npm package ready. */
  static async open(): Promise<Images> {
    const dir = await mkdtemp(join(tmpdir(), 'islet-images-'));
    const images = new Images(dir);
    try {
      // buildah asks for a million of each, which may be more than is allowed here.
      const limits = ['nofile', 'nproc'].map((name) => `"${name}=4096:4096"`);
      await writeFile(
        join(dir, 'containers.conf'),
        `[containers]\ndefault_ulimits = [${limits.join(', ')}]\n`,
      );
      await makePackages(['npm'], join(dir, 'packages'));
      const container = (await images.#buildah('from', 'scratch')).trim();
      await images.#buildah('add', '--quiet', container, await baseFile(), '/');
      await images.#buildah('commit', '--quiet', '--rm', container, BASE);
      return images;
    } catch (error) {
      await images[Symbol.asyncDispose]();
      throw error;
    }
  }

  async build(target: string): Promise<void> {
    const file = join(DEPLOY, 'containers/Containerfile');
    const words = ['--layers', '--pull=never', '--build-arg', `BASE=${BASE}`, '--file', file];
    const tag = `localhost/islet-${target}`;
    await this.#buildah('build', ...words, '--target', target, '--tag', tag, join(this.#dir, 'packages'));
  }

  /** Runs an image's program to its end, and gives what it printed. */
  async run(target: string, env: Record<string, string>, ...args: string[]): Promise<string> {
    const { container, command } = await this.#container(target);
    return this.#buildah('run', ...environment(env), container, '--', ...command, ...args);
  }

  /** Starts an image's program, and waits until it says that it is ready. @throws Error with what it said if it ends before */
  async start(target: string, env: Record<string, string>): Promise<ReadyEvent> {
    const { container, command } = await this.#container(target);
    const words = ['run', ...environment(env), container, '--', ...command, '--json'];
    // A group of its own: buildah passes no signal on.
    const child = spawn('buildah', [...this.#storage(), ...words], {
      ...{ env: this.#env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
    });
    const ended = new Promise<void>((done) => child.once('close', () => done()));
    this.#running.add({ child, ended });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    for await (const line of createInterface(child.stdout)) {
      if (line.includes('"event":"ready"')) {
        child.stdout.resume();
        return JSON.parse(line) as ReadyEvent;
      }
      said += `${line}\n`;
    }
    throw new Error(`islet ${target} ended before it was ready:\n${said}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child, ended } of this.#running) {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGTERM');
      await ended;
    }
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #container(target: string): Promise<{ container: string; command: string[] }> {
    const image = `localhost/islet-${target}`;
    const container = (await this.#buildah('from', '--pull=never', image)).trim();
    const inspected = JSON.parse(await this.#buildah('inspect', '--type', 'image', image)) as Inspected;
    return { container, command: inspected.OCIv1.config.Entrypoint };
  }

  async #buildah(...words: string[]): Promise<string> {
    const { stdout } = await run('buildah', [...this.#storage(), ...words], { env: this.#env });
    return stdout;
  }

  #storage(): string[] {
    return ['--root', join(this.#dir, 'store'), '--runroot', join(this.#dir, 'run')];
  }
}

function environment(env: Record<string, string>): string[] {
  return Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
}

async function baseFile(): Promise<string> {
  const isThere = await access(BASE_FILE).then(
    () => true,
    () => false,
  );
  if (isThere) return BASE_FILE;
  await mkdir(join(BASE_FILE, '..'), { recursive: true });
  const draft = `${BASE_FILE}.${process.pid}.tar`;
  await run('mmdebstrap', ['--variant=minbase', '--include=nodejs,ca-certificates', 'trixie', draft]);
  await rename(draft, BASE_FILE);
  return BASE_FILE;
}
