import { join } from 'node:path';
import type { MakeHost } from '../host.ts';
import { ProcessHost } from '../process/process-host.ts';

/** Node and its programs are read from a disk that may be cold. */
const START_MS = 60_000;

/**
 * JavaScript in a Node process of its own.
 * @param node the program
 * @param directory where `bundle.mjs` has written its programs
 * @param language TypeScript has its types stripped, and is JavaScript then
 */
export function javascriptHost(
  node: string,
  directory: string,
  language: 'javascript' | 'typescript',
): MakeHost {
  const args = [...NODE_FLAGS, join(directory, 'main.mjs'), language];
  return () => new ProcessHost({ command: node, args, startMs: START_MS, hearsInterrupts: true });
}

/**
 * Where an interrupt ends a script, Node's count of nested callbacks is wrong, for which it would end the process. `vm`'s own
 * loader of modules is marked as experimental, of which cells are to see nothing.
 */
const NODE_FLAGS = ['--no-force-async-hooks-checks', '--disable-warning=ExperimentalWarning'];
