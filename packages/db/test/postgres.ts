import { execFile, spawn } from 'node:child_process';
import { appendFile, chown, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A PostgreSQL cluster of its own, in a temporary directory, for one test file. */
export interface PostgresCluster {
  /** Makes an empty database and returns its address. */
  createDatabase(name: string): Promise<string>;
  /** The rows that a query gives, a text each. */
  query(database: string, sql: string): Promise<string[]>;
  /** Ends the server as a crash would: open connections break. */
  crash(): Promise<void>;
  /** Has it stand still, connections and all, as on a machine that swaps. */
  hang(): Promise<void>;
  /** It goes on after `hang`. */
  goOn(): Promise<void>;
  /** Starts it again after a crash. */
  restart(): Promise<void>;
  /** As `crash`, and removes all that it kept. */
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

export interface PostgresOptions {
  /** Where it listens. */
  host?: string;
  /** The file of the network namespace that it runs in. */
  netns?: string;
}

export async function startPostgres({
  host = '127.0.0.1',
  netns,
}: PostgresOptions = {}): Promise<PostgresCluster> {
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
  // Whoever reaches a server that is not on the loopback address may use it.
  await appendFile(join(data, 'pg_hba.conf'), 'host all all samenet trust\n');
  const port = await freePort();
  // nsenter needs root, and becomes the server's user by itself.
  const [file = '', ...words] = [
    ...(netns === undefined
      ? []
      : ['nsenter', `--net=${netns}`, `--setuid=${identity?.uid}`, `--setgid=${identity?.gid}`]),
    ...[join(bin, 'postgres'), '-D', data, '-p', String(port), '-h', host, '-k', directory, '-F'],
  ];
  const launch = async () => {
    const own = netns === undefined ? options : { cwd: directory };
    const server = spawn(file, words, { ...own, stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    server.stderr.on('data', (chunk) => {
      log += chunk;
    });
    const exited = new Promise<void>((done) => server.once('exit', () => done()));
    const deadline = Date.now() + 30_000;
    for (;;) {
      const ready = await run(join(bin, 'pg_isready'), connection).then(
        () => true,
        () => false,
      );
      if (ready) return { server, exited };
      if (server.exitCode !== null || Date.now() > deadline)
        throw new Error(`PostgreSQL did not start:\n${log}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  };
  const connection = ['-h', directory, '-p', String(port), '-U', 'islet'];
  let running = await launch();
  const crash = async () => {
    running.server.kill('SIGQUIT');
    await running.exited;
  };
  const signal = async (name: NodeJS.Signals) => {
    const { pid } = running.server;
    if (pid === undefined) throw new Error('PostgreSQL does not run');
    process.kill(pid, name);
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    for (const child of children.split(' ').filter(Boolean)) signalIfThere(Number(child), name);
  };
  return {
    async createDatabase(name) {
      await run(join(bin, 'createdb'), [...connection, name]);
      return `postgres://islet@${host}:${port}/${name}`;
    },
    async query(database, sql) {
      const { stdout } = await run(join(bin, 'psql'), [...connection, '-d', database, '-Atc', sql]);
      return stdout.split('\n').filter((line) => line !== '');
    },
    crash,
    hang: () => signal('SIGSTOP'),
    goOn: () => signal('SIGCONT'),
    async restart() {
      running = await launch();
    },
    async stop() {
      await crash();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A server's processes come and go by themselves. */
function signalIfThere(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
