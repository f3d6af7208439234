import type { Cells } from './cells.ts';
import { runBuildCommand } from './run.ts';

/** What a program sees of the disk, beside the system's programs and libraries. */
export interface View {
  /** Paths of the host by what they are called inside; those that are not there are left out. */
  readable: Readonly<Record<string, string>>;
  /** The same; without device files and set-user-ID programs. */
  writable: Readonly<Record<string, string>>;
}

export interface Confinement {
  view: View;
  /** All that root keeps of its rights, such as `CAP_CHOWN`. */
  capabilities: readonly string[];
  /** The whole environment, beside PATH. */
  env: Readonly<Record<string, string>>;
  /** Longest file that it may write, bytes; absent: any. */
  fileBytes?: number | undefined;
}

export interface ConfinedCommand extends Confinement {
  command: readonly string[];
  onLine: (line: string) => void;
  cells: Cells;
  signal: AbortSignal;
}

/** Joins the cgroups given as the first word, and becomes the rest. */
const JOIN = 'for file in $1; do echo 0 > "$file" || exit 1; done; shift; exec "$@"';
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin';
/** Where a merged /usr has links in place of folders. */
const LINKS = ['bin', 'sbin', 'lib', 'lib64'];

/**
 * The words that run a command apart from the machine: in pid, network, mount, IPC and host name namespaces of its own, on a disk of
 * which it sees `view` alone, without a way to gain rights. It ends with this process.
 */
export function confined(
  { view, capabilities, env, fileBytes }: Confinement,
  command: readonly string[],
): string[] {
  const each = (
    words: Readonly<Record<string, string>>,
    word: (inside: string, outside: string) => string[],
  ) => Object.entries(words).flatMap(([inside, outside]) => word(inside, outside));
  return [
    ...['setpriv', '--pdeathsig', 'KILL'],
    ...['prlimit', '--core=0', ...(fileBytes === undefined ? [] : [`--fsize=${fileBytes}`])],
    ...['bwrap', '--die-with-parent', '--unshare-pid', '--unshare-net', '--unshare-ipc', '--unshare-uts'],
    ...['--ro-bind', '/usr', '/usr', ...LINKS.flatMap((name) => ['--symlink', `usr/${name}`, `/${name}`])],
    ...['--proc', '/proc', '--dev', '/dev'],
    // It would make them itself, for root alone.
    ...parentsOf([...Object.keys(view.readable), ...Object.keys(view.writable)]).flatMap((path) => [
      '--dir',
      path,
    ]),
    ...each(view.readable, (inside, outside) => ['--ro-bind-try', outside, inside]),
    ...each(view.writable, (inside, outside) => ['--bind', outside, inside]),
    // What holds the mounts is memory of the machine's; root without any right may still change /proc/sys.
    ...['/proc', '/dev', '/'].flatMap((path) => ['--remount-ro', path]),
    ...['--clearenv', '--setenv', 'PATH', PATH, ...each(env, (name, value) => ['--setenv', name, value])],
    ...['--cap-drop', 'ALL', ...capabilities.flatMap((name) => ['--cap-add', name])],
    ...['--', ...command],
  ];
}

/** The folders above these paths, the upper ones first. */
function parentsOf(paths: readonly string[]): string[] {
  const parents = new Set<string>();
  for (const path of paths) {
    const names = path.split('/').slice(1, -1);
    for (let depth = 1; depth <= names.length; depth++) parents.add(`/${names.slice(0, depth).join('/')}`);
  }
  return [...parents];
}

/**
 * Runs a command so, within bounds on memory, processors and processes.
 * @throws BuildCommandError if it exits with anything but 0, and the signal's reason if it was aborted.
 */
export async function runConfined(confinement: ConfinedCommand): Promise<void> {
  const { command, onLine, cells, signal } = confinement;
  await using cell = await cells.open();
  const words = ['sh', '-c', JOIN, 'join', cell.joinFiles.join(' '), ...confined(confinement, command)];
  await runBuildCommand({ command: words, onLine, signal });
}
