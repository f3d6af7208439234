import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine } from '../vm/machine.ts';

const QUESTION_MS = 10 * 60_000;

/** What of sandboxes is on a machine: processes, mounts, namespaces, links, firewall tables, cgroups, loop devices, files. */
export async function residue(machine: Machine, signal: AbortSignal): Promise<string[]> {
  const script = await readFile(join(import.meta.dirname, 'residue.sh'), 'utf8');
  const printed = await machine.root.run('sh -s', { signal, timeoutMs: QUESTION_MS, input: script });
  return printed.split('\n').filter(Boolean);
}

/** @throws if `after` has a line that `before` does not have */
export function expectNothingLeft(before: readonly string[], after: readonly string[]): void {
  const left = [...before];
  const added = after.filter((line) => {
    const index = left.indexOf(line);
    if (index !== -1) left.splice(index, 1);
    return index === -1;
  });
  if (added.length > 0) throw new Error(`after the stop this is left:\n${added.join('\n')}`);
}
