import { openProgram, SystemError, userOf } from '@islet/posix-spawn';
import koffi from 'koffi';

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9n;

/**
 * The command that starts the gateway's program: as root, with no more rights than it takes to read its own files and to become its own
 * user, which no program that it might start could get back.
 */
export function confinedCommand(node: string, program: string): { file: string; args: string[] } {
  return {
    file: 'setpriv',
    args: [
      ...['--pdeathsig', 'KILL', '--no-new-privs', '--inh-caps', '-all'],
      ...['--bounding-set', '-all,+setuid,+setgid,+dac_read_search'],
      ...[node, '--max-old-space-size=256', program],
    ],
  };
}

/**
 * Becomes the gateway's user, which has no rights and no files, and ends with its parent. Nobody else has its id: who takes the gateway over
 * can signal and look into itself alone.
 */
export function becomeUnprivileged(): void {
  const user = userOf('gateway');
  process.setgroups?.([]);
  process.setgid?.(user);
  process.setuid?.(user);
  // A change of user has taken the signal away that was asked for before.
  const prctl = openProgram().func('int prctl(int, size_t, size_t, size_t, size_t)');
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0n, 0n, 0n) === -1) throw new SystemError('prctl', koffi.errno());
}
