import koffi from 'koffi';

/** How a program ended: `signal` is 0 where it exited by itself. */
export interface ProgramEnd {
  exitCode: number;
  signal: number;
}

/** What a program is started with. Descriptors become its own 0, 1 and 2; undefined ones are /dev/null. */
export interface ProgramStart {
  file: string;
  args: readonly string[];
  stdin: number | undefined;
  stdout: number | undefined;
  stderr: number | undefined;
}

export interface StartedProgram {
  pid: number;
  ended: Promise<ProgramEnd>;
}

/** Starts host programs at a cost that does not depend on the size of this process. */
export interface Spawner {
  /** Looks `file` up in PATH. @throws SpawnError where there is no such program or no room for another process. */
  start(program: ProgramStart): StartedProgram;
  /** A descriptor of an anonymous file in memory, closed in started programs unless it is given to them. */
  memoryFile(name: string): number;
  /** Programs that still run are not waited for any more. */
  close(): void;
}

/** A program that was never started; the message holds the errno's name. */
export class SpawnError extends Error {
  override readonly name = 'SpawnError';
}

const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const WNOHANG = 1;
const MFD_CLOEXEC = 1;
const O_RDWR = 2;

/** Room for glibc's posix_spawnattr_t (336 bytes), posix_spawn_file_actions_t (80 bytes) and sigset_t (128 bytes). */
const ATTRIBUTES_BYTES = 512;
const ACTIONS_BYTES = 256;
const SIGSET_BYTES = 128;

/**
 * posix_spawn shares the address space with the child until it executes its program. Node's own spawn forks: with the 400 MB
 * that Islet has in memory that copies page tables for 20 ms and more, in which this process does nothing else.
 */
export function openSpawner(): Spawner {
  const program = koffi.load(null);
  const initAttributes = program.func('int posix_spawnattr_init(void *)');
  const setFlags = program.func('int posix_spawnattr_setflags(void *, short)');
  const setDefaults = program.func('int posix_spawnattr_setsigdefault(void *, void *)');
  const setMask = program.func('int posix_spawnattr_setsigmask(void *, void *)');
  const initActions = program.func('int posix_spawn_file_actions_init(void *)');
  const addDup = program.func('int posix_spawn_file_actions_adddup2(void *, int, int)');
  const addOpen = program.func('int posix_spawn_file_actions_addopen(void *, int, const char *, int, uint)');
  const destroyActions = program.func('int posix_spawn_file_actions_destroy(void *)');
  const spawn = program.func(
    'int posix_spawnp(_Out_ int *, const char *, void *, void *, const char **, const char **)',
  );
  const waitpid = program.func('int waitpid(int, _Out_ int *, int)');
  const memfdCreate = program.func('int memfd_create(const char *, uint)');

  const attributes = Buffer.alloc(ATTRIBUTES_BYTES);
  must('posix_spawnattr_init', initAttributes(attributes));
  must('posix_spawnattr_setflags', setFlags(attributes, SETSIGDEF | SETSIGMASK));
  // Node ignores SIGPIPE; programs must not inherit that.
  must('posix_spawnattr_setsigdefault', setDefaults(attributes, Buffer.alloc(SIGSET_BYTES, 0xff)));
  must('posix_spawnattr_setsigmask', setMask(attributes, Buffer.alloc(SIGSET_BYTES)));

  const running = new Map<number, (end: ProgramEnd) => void>();
  /** Only programs started here are waited for: Node waits for its own. */
  const reap = () => {
    for (const [pid, end] of running) {
      const status: [number] = [0];
      const found: number = waitpid(pid, status, WNOHANG);
      if (found === 0) continue;
      running.delete(pid);
      // Where somebody else has collected it, how it ended cannot be known.
      end(found === pid ? decodeStatus(status[0]) : { exitCode: -1, signal: 0 });
    }
  };
  process.on('SIGCHLD', reap);

  return {
    start({ file, args, stdin, stdout, stderr }) {
      const actions = Buffer.alloc(ACTIONS_BYTES);
      must('posix_spawn_file_actions_init', initActions(actions));
      try {
        for (const [target, source] of [stdin, stdout, stderr].entries()) {
          if (source === undefined) must('addopen', addOpen(actions, target, '/dev/null', O_RDWR, 0));
          else must('adddup2', addDup(actions, source, target));
        }
        const env = Object.entries(process.env).map(([key, value]) => `${key}=${value}`);
        const pid: [number] = [0];
        must(file, spawn(pid, file, actions, attributes, [file, ...args, null], [...env, null]));
        const ended = new Promise<ProgramEnd>((resolve) => running.set(pid[0], resolve));
        return { pid: pid[0], ended };
      } finally {
        destroyActions(actions);
      }
    },
    memoryFile(name) {
      const descriptor: number = memfdCreate(name, MFD_CLOEXEC);
      if (descriptor === -1) throw new SpawnError(`memfd_create: ${errnoName(koffi.errno())}`);
      return descriptor;
    },
    close() {
      process.off('SIGCHLD', reap);
    },
  };
}

/** Takes the kernel's wait status apart. */
export function decodeStatus(status: number): ProgramEnd {
  const signal = status & 0x7f;
  return { signal, exitCode: signal === 0 ? (status >> 8) & 0xff : -1 };
}

/** posix_spawn calls answer with an errno instead of setting it. */
function must(what: string, errno: number): void {
  if (errno !== 0) throw new SpawnError(`${what}: ${errnoName(errno)}`);
}

function errnoName(errno: number): string {
  const entry = Object.entries(koffi.os.errno).find(([, value]) => value === errno);
  return entry?.[0] ?? `errno ${errno}`;
}
