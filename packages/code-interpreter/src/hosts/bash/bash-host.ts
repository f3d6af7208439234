import { join } from 'node:path';
import type { MakeHost } from '../host.ts';
import type { ExecuteMessage } from '../process/messages.ts';
import { ProcessHost } from '../process/process-host.ts';

const START_MS = 30_000;

/**
 * One Bash for all cells of a context: variables, functions, the directory and options stay. A cell whose last command fails
 * ends with an error whose value is the status.
 * @param directory where `host.bash` is
 */
export function bashHost(directory: string): MakeHost {
  const args = ['--noprofile', '--norc', join(directory, 'host.bash')];
  return () => new ProcessHost({ command: '/bin/bash', args, startMs: START_MS, encode: wordsOf });
}

/** Pairs of words, since Bash reads no JSON. A NUL in code is dropped, as Bash does. */
function wordsOf({ code, env, envAfter, reseed }: ExecuteMessage): Buffer {
  const words: string[] = [];
  if (reseed) words.push('reseed', '');
  for (const [name, value] of Object.entries(env)) words.push(`set:${name}`, value);
  for (const [name, value] of Object.entries(envAfter)) {
    if (value === null) words.push(`unset:${name}`, '');
    else words.push(`after:${name}`, value);
  }
  words.push('run', code);
  return Buffer.from(words.map((word) => `${word.replaceAll('\0', '')}\0`).join(''));
}
