import { mkdir, realpath } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Deadline } from '@islet/contracts';
import { findProcesses, replaceProcess, waitForFileLock } from '@islet/host';
import type { Trouble } from '../doctor/check.ts';
import { runHost } from '../doctor/run.ts';
import { instanceAt } from '../host/instance.ts';
import { readResolvers } from '../host/resolvers.ts';
import { RIGHTS } from '../host/rights.ts';
import { OPTIONS } from '../options/options.ts';
import { type Environment, type OptionSources, type OptionSpec, requireOption } from '../options/spec.ts';
import { claimDataDir } from '../up/claim.ts';
import { probeRootless, rootlessTroubles } from './requirements.ts';
import { closeNamespace, connectNamespace, findNamespace, makeNamespace } from './user-namespace.ts';

/** Set within: the data directory whose namespaces end with this command. */
const CLOSES = 'ISLET_ROOTLESS_CLOSES';

const LOCK = 'rootless.lock';
/** Namespaces and their network take a second on a busy machine. */
const LONGEST_TURN_MS = 60_000;

/** What an ordinary user lacks, and how an administrator gives it. */
export class RootlessRefused extends Error {
  override readonly name = 'RootlessRefused';
}

/** An Islet without root keeps things in its user's home, as other programs do. */
export function homeDirs({ HOME = '/', XDG_DATA_HOME, XDG_CACHE_HOME }: Environment): Record<string, string> {
  return {
    ISLET_DATA_DIR: join(XDG_DATA_HOME || join(HOME, '.local/share'), 'islet'),
    ISLET_CACHE_DIR: join(XDG_CACHE_HOME || join(HOME, '.cache'), 'islet'),
  };
}

/**
 * For an ordinary user who is not to become root, goes on with the same command as root of namespaces of the user's own; returns if there is nothing to do.
 * @throws RootlessRefused naming all that is missing
 */
export async function enterNamespace(words: readonly string[], environment: Environment): Promise<void> {
  if (process.getuid?.() === 0 || words.includes('--help')) return;
  const env: Record<string, string | undefined> = { ...homeDirs(environment), ...environment };
  const sources = { flags: flagsIn(words), env };
  const isServing = words[0] === 'up';
  const wanted = requireOption(OPTIONS.dataDir, sources);
  await mkdir(wanted, { recursive: true, mode: 0o700 });
  const dataDir = await realpath(wanted);
  // Two commands must not both make what is missing. It is released when this process becomes the other program.
  using limit = new Deadline(LONGEST_TURN_MS);
  await using _turn = await waitForFileLock(join(dataDir, LOCK), { signal: limit.signal, onWait: () => {} });
  // The network of one that runs stays as it is.
  if (isServing) await (await claimDataDir(dataDir))[Symbol.asyncDispose]();
  const found = await findNamespace(dataDir);
  const troubles = found ? [] : rootlessTroubles(await probeRootless(runHost));
  if (troubles.length > 0) {
    // It says the same outside, with all else.
    if (words[0] === 'doctor') return;
    throw refusal(troubles);
  }
  const namespace = found ?? (await makeNamespace(dataDir, await readResolvers()));
  if (!found || isServing) env[CLOSES] = dataDir;
  let asked = words;
  try {
    if (isServing) {
      const ports = await portsOf(sources);
      asked = withPorts(words, ports);
      await connectNamespace(
        dataDir,
        namespace,
        Object.values(ports).map((port) => `${requireOption(OPTIONS.host, sources)}/${port}`),
      );
    } else if (!found && words[0] === 'doctor') await connectNamespace(dataDir, namespace, []);
    replaceProcess(
      [
        ...(['nsenter', `--target=${namespace.keeper.pid}`, '--user', '--mount', '--net'] as const),
        ...['sh', '-c', 'cd "$0" 2>/dev/null; exec "$@"', process.cwd()],
        ...(isServing ? withRights() : []),
        ...[process.execPath, ...process.execArgv, process.argv[1] ?? '', ...asked],
      ],
      env,
    );
  } catch (error) {
    if (!found) await closeNamespace(dataDir, namespace);
    throw error;
  }
}

/** Within, when the command has ended: takes the namespaces down, unless sandboxes go on in them. */
export async function leaveNamespace({ [CLOSES]: dataDir }: Environment): Promise<void> {
  const namespace = dataDir === undefined ? undefined : await findNamespace(dataDir);
  if (dataDir === undefined || !namespace) return;
  const { runtimeDir } = instanceAt(dataDir);
  const sandboxes = findProcesses((words) => words.some((word) => word.includes(`${runtimeDir}/`)));
  if (sandboxes.length === 0) await closeNamespace(dataDir, namespace);
}

function refusal(troubles: readonly Trouble[]): RootlessRefused {
  const lines = troubles.map(({ detail, cause, fix }) => `${detail} (${cause}): ${fix}`);
  return new RootlessRefused(
    `this user cannot run Islet without root. An administrator has to run once:\n${lines.join('\n')}`,
  );
}

/** The launcher does the same for root of the machine. */
function withRights(): string[] {
  const kept = Object.keys(RIGHTS.up).map((name) => `+${name}`);
  return [
    ...['setpriv', '--no-new-privs', '--inh-caps=-all', '--ambient-caps=-all'],
    `--bounding-set=-all,${kept.join(',')}`,
  ];
}

const PUBLISHED = ['apiPort', 'proxyPort'] as const;

/** The ports that lead into the namespaces, by their flags: what is left to the system is chosen here, where clients are. */
async function portsOf(sources: OptionSources): Promise<Record<string, number>> {
  const host = requireOption(OPTIONS.host, sources);
  const ports: Record<string, number> = {};
  for (const name of PUBLISHED) {
    const option: OptionSpec<number> = OPTIONS[name];
    ports[option.flag] = requireOption(option, sources) || (await freePort(host));
  }
  return ports;
}

/** The words with these flags in place of those that name other ports. */
export function withPorts(words: readonly string[], ports: Readonly<Record<string, number>>): string[] {
  const flags = Object.keys(ports).map((flag) => `--${flag}`);
  const kept = words.filter(
    (word, index) =>
      !flags.some((flag) => word === flag || word.startsWith(`${flag}=`) || words[index - 1] === flag),
  );
  return [...kept, ...Object.entries(ports).map(([flag, port]) => `--${flag}=${port}`)];
}

async function freePort(host: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, host, resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error(`no port of ${host} is free`);
  return address.port;
}

/** The values of flags, which the command itself reads again, and judges. */
function flagsIn(words: readonly string[]): Record<string, string> {
  const flags: Record<string, string> = {};
  for (const [index, word] of words.entries()) {
    const [, flag, value] = /^--([a-z-]+)(?:=(.*))?$/s.exec(word) ?? [];
    const text = value ?? words[index + 1];
    if (flag !== undefined && text !== undefined) flags[flag] = text;
  }
  return flags;
}
