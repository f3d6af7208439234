import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

/** A real registry on a free port of this machine, with its content in a folder of its own. */
export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:<port>` */
  host: string;
  /** Where its blobs are, for tests that break them. */
  dir: string;
  /** Where its certificate is, if it has one. */
  certificate: string;
}

/** The one account of a registry with a password. bcrypt is all that the registry takes. */
export const LOGIN = { username: 'reader', password: 'right password' };
const HTPASSWD = 'reader:$2b$05$abcdefghijklmnopqrstuuChQd15jl6x5/jaJ9KDukc2t1X7oMLPa\n';

/** With `tls` it has a certificate for `registry.localhost`, in `cert.pem` beside its blobs. */
export async function startRegistry({
  withPassword,
  tls = false,
}: {
  withPassword: boolean;
  tls?: boolean;
}): Promise<TestRegistry> {
  const dir = await mkdtemp(join(tmpdir(), 'islet-registry-'));
  const host = `127.0.0.1:${await freePort()}`;
  await writeFile(join(dir, 'htpasswd'), HTPASSWD);
  const config = {
    version: 0.1,
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: join(dir, 'data') } },
    http: { addr: host, ...(tls && { tls: await makeCertificate(dir) }) },
    ...(withPassword ? { auth: { htpasswd: { realm: 'test', path: join(dir, 'htpasswd') } } } : {}),
  };
  // JSON is YAML.
  await writeFile(join(dir, 'config.yml'), JSON.stringify(config));
  const child = spawn('docker-registry', ['serve', join(dir, 'config.yml')], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  for (;;) {
    if (child.exitCode !== null)
      throw new Error('docker-registry ended: is it installed? (./islet setup --with-tests)');
    if (await accepts(host)) break;
    await sleep(50);
  }
  return {
    host,
    dir: join(dir, 'data'),
    certificate: join(dir, 'cert.pem'),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function makeCertificate(dir: string): Promise<{ certificate: string; key: string }> {
  const [certificate, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const name = ['-subj', '/CN=registry.localhost', '-addext', 'subjectAltName=DNS:registry.localhost'];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  await promisify(execFile)('openssl', ['req', ...kind, ...name, '-keyout', key, '-out', certificate]);
  return { certificate, key };
}

async function accepts(host: string): Promise<boolean> {
  const [address, port] = host.split(':');
  const socket = connect(Number(port), address);
  return once(socket, 'connect')
    .then(
      () => true,
      () => false,
    )
    .finally(() => socket.destroy());
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
