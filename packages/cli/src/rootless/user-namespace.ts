import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { isAlive, killAndWait, type ProcessRef, refProcess } from '@islet/host';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { NEW_NAMESPACE } from './requirements.ts';

/** What a data directory's namespaces are known by, beside what is in it. */
const FILE = 'rootless.json';
const PASTA_PID_FILE = 'rootless-pasta.pid';

const Process = Type.Object({ pid: Type.Integer({ minimum: 2 }), startTicks: Type.Integer() });
const Recorded = Type.Object({
  keeper: Process,
  pasta: Type.Optional(Process),
  published: Type.Array(Type.String({ maxLength: 100 }), { maxItems: 16 }),
});

/**
 * Namespaces in which an ordinary user is root: of users, mounts and network. A process that does nothing keeps them, so that sandboxes
 * outlive an Islet that is killed, and the next one finds them.
 */
export interface UserNamespace {
  keeper: ProcessRef;
  /** Gives it its network; undefined if it has none yet. */
  pasta?: ProcessRef | undefined;
  /** Addresses of the machine that lead into it, as `<address>/<port>`. */
  published: string[];
}

/**
 * Makes the mounts that root's programs expect to own: /run is empty, but for what names are looked up with. The name servers are given as
 * lines of a resolv.conf, since the machine's own may be below /run.
 */
const SETUP = `
set -e
target=$(readlink -f /etc/resolv.conf || echo /etc/resolv.conf)
mount -t tmpfs -o mode=755 tmpfs /run
case $target in
  /run/*) mkdir -p "$(dirname "$target")" && printf '%s' "$1" >"$target" ;;
  *) [ ! -e "$target" ] || { printf '%s' "$1" >/run/resolv.conf && mount --bind /run/resolv.conf "$target"; } ;;
esac
mkdir /run/netns
echo ready
exec sleep infinity`;

/** The namespaces of a data directory, if they are there. */
export async function findNamespace(dataDir: string): Promise<UserNamespace | undefined> {
  const text = await readFile(join(dataDir, FILE), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const record = parse(text);
  return record && isAlive(record.keeper) ? record : undefined;
}

function parse(text: string): UserNamespace | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Value.Check(Recorded, value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** @throws Error with what unshare said */
export async function makeNamespace(dataDir: string, nameservers: readonly string[]): Promise<UserNamespace> {
  const [program, ...args] = NEW_NAMESPACE;
  const resolvConf = nameservers.map((address) => `nameserver ${address}\n`).join('');
  const child = spawn(
    program,
    [...args, '--propagation', 'private', 'sh', '-c', SETUP, 'keeper', resolvConf],
    { detached: true, stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' },
  );
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const isReady = await Promise.race([
    once(createInterface(child.stdout), 'line').then(() => true),
    once(child, 'close').then(() => false),
  ]);
  const keeper = child.pid === undefined ? undefined : refProcess(child.pid);
  if (!isReady || !keeper) throw new Error(`no namespace of users could be made: ${said.trim()}`);
  for (const output of [child.stdout, child.stderr]) output.destroy();
  child.unref();
  const namespace = { keeper, published: [] };
  await record(dataDir, namespace);
  return namespace;
}

/**
 * Gives it the network that the user has, in which the machine's own loopback addresses are not reached, and publishes addresses. What it
 * has already stays if it publishes the same: connections of sandboxes go through it.
 * @throws Error with what pasta said, such as that a port is taken
 */
export async function connectNamespace(
  dataDir: string,
  namespace: UserNamespace,
  published: readonly string[],
): Promise<UserNamespace> {
  const { keeper, pasta } = namespace;
  if (pasta && isAlive(pasta)) {
    if (namespace.published.join() === published.join()) return namespace;
    await killAndWait(pasta);
  }
  const pidFile = join(dataDir, PASTA_PID_FILE);
  const child = spawn(
    'pasta',
    [
      ...['--config-net', '--quiet', '--pid', pidFile, '--no-map-gw', '--host-lo-to-ns-lo'],
      ...(published.length === 0 ? ['-t', 'none'] : published.flatMap((address) => ['-t', address])),
      ...['-u', 'none', '-T', 'none', '-U', 'none', String(keeper.pid)],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`pasta gives no network: ${said.trim()}`);
  const connected = {
    keeper,
    published: [...published],
    pasta: refProcess(Number(await readFile(pidFile, 'utf8'))),
  };
  await record(dataDir, connected);
  return connected;
}

/** Ends it; pasta ends by itself when nothing is left in it. */
export async function closeNamespace(dataDir: string, { keeper }: UserNamespace): Promise<void> {
  await killAndWait(keeper);
  for (const name of [FILE, PASTA_PID_FILE]) await rm(join(dataDir, name), { force: true });
}

async function record(dataDir: string, namespace: UserNamespace): Promise<void> {
  const draft = join(dataDir, `${FILE}.${process.pid}`);
  await writeFile(draft, `${JSON.stringify(namespace)}\n`, { mode: 0o600 });
  await rename(draft, join(dataDir, FILE));
}
