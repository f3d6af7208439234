import koffi from 'koffi';
import { openProgram, SystemError } from './libc.ts';

const F_SETFD = 2;
/** stdin, stdout and stderr, which Node keeps from programs that it does not start itself. */
const STANDARD = [0, 1, 2];

/**
 * Becomes another program: the process stays, with its terminal and its children. What Node has open is closed by then.
 * @param argv the first word is the program, looked up in PATH
 * @throws SystemError if there is no such program
 */
export function replaceProcess(
  argv: readonly [string, ...string[]],
  env: Readonly<Record<string, string | undefined>>,
): never {
  const program = openProgram();
  const fcntl = program.func('int fcntl(int, int, int)');
  const execvpe = program.func('int execvpe(const char *, const char **, const char **)');
  const variables = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
  for (const descriptor of STANDARD) fcntl(descriptor, F_SETFD, 0);
  execvpe(argv[0], [...argv, null], [...variables, null]);
  throw new SystemError(argv[0], koffi.errno());
}
