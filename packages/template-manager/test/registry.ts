import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A real registry on a free port of this machine, with its content in a folder of its own. */
export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:<port>` */
  host: string;
  /** Where its blobs are, for tests that break them. */
  dir: string;
}

/** The one account of a registry with a password. bcrypt is all that the registry takes. */
export const LOGIN = { username: 'reader', password: 'right password' };
const HTPASSWD = 'reader:$2b$05$abcdefghijklmnopqrstuuChQd15jl6x5/jaJ9KDukc2t1X7oMLPa\n';

export async function startRegistry({ withPassword }: { withPassword: boolean }): Promise<TestRegistry> {
  const dir = await mkdtemp(join(tmpdir(), 'islet-registry-'));
  const host = `127.0.0.1:${await freePort()}`;
  await writeFile(join(dir, 'htpasswd'), HTPASSWD);
  const config = {
    version: 0.1,
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: join(dir, 'data') } },
    http: { addr: host },
    ...(withPassword ? { auth: { htpasswd: { realm: 'test', path: join(dir, 'htpasswd') } } } : {}),
  };
  // JSON is YAML.
  await writeFile(join(dir, 'config.yml'), JSON.stringify(config));
  const child = spawn('docker-registry', ['serve', join(dir, 'config.yml')], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  for (;;) {
    if (child.exitCode !== null)
      throw new Error('docker-registry ended: is it installed? (./islet setup --with-tests)');
    const answer = await fetch(`http://${host}/v2/`).catch(() => undefined);
    if (answer) break;
    await sleep(50);
  }
  return {
    host,
    dir: join(dir, 'data'),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
