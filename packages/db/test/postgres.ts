import { execFile, spawn } from 'node:child_process';
import { chown, mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A PostgreSQL cluster of its own, in a temporary directory, for one test file. */
export interface PostgresCluster {
  /** Makes an empty database and returns its address. */
  createDatabase(name: string): Promise<string>;
  /** Stops the server as a crash would: open connections break. */
  stop(): Promise<void>;
}

const INSTALL_HINT = "these tests need a PostgreSQL server's programs: apt-get install postgresql";

async function findBinaries(): Promise<string> {
  const root = '/usr/lib/postgresql';
  const versions = await readdir(root).catch(() => {
    throw new Error(INSTALL_HINT);
  });
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  if (!newest) throw new Error(INSTALL_HINT);
  return join(root, newest, 'bin');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Who may run the server: PostgreSQL refuses root, so root hands it to the package's own user. */
async function serverIdentity(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const ids = await Promise.all(['-u', '-g'].map((flag) => run('id', [flag, 'postgres'])));
  const [uid, gid] = ids.map(({ stdout }) => Number(stdout));
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

export async function startPostgres(): Promise<PostgresCluster> {
  const bin = await findBinaries();
  const identity = await serverIdentity();
  const directory = await mkdtemp(join(tmpdir(), 'islet-postgres-'));
  if (identity) await chown(directory, identity.uid, identity.gid);
  const options = { ...identity, cwd: directory };
  const data = join(directory, 'data');
  await run(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'islet', '-A', 'trust', '-E', 'UTF8', '--no-sync'],
    options,
  );
  const port = await freePort();
  const server = spawn(
    join(bin, 'postgres'),
    ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', directory, '-F'],
    { ...options, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  server.stderr.on('data', (chunk) => {
    log += chunk;
  });
  const exited = new Promise<void>((done) => server.once('exit', () => done()));
  const connection = ['-h', '127.0.0.1', '-p', String(port), '-U', 'islet'];
  const deadline = Date.now() + 30_000;
  for (;;) {
    const ready = await run(join(bin, 'pg_isready'), connection).then(
      () => true,
      () => false,
    );
    if (ready) break;
    if (server.exitCode !== null || Date.now() > deadline)
      throw new Error(`PostgreSQL did not start:\n${log}`);
    await new Promise((done) => setTimeout(done, 50));
  }
  return {
    async createDatabase(name) {
      await run(join(bin, 'createdb'), [...connection, name]);
      return `postgres://islet@127.0.0.1:${port}/${name}`;
    },
    async stop() {
      server.kill('SIGQUIT');
      await exited;
      await rm(directory, { recursive: true, force: true });
    },
  };
}
