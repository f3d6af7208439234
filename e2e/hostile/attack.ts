import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommandHandle, Sandbox } from 'e2b';

/** A program below `programs/`: Python runs as it is, C is compiled in the sandbox. */
export type Program = `${string}.py` | `${string}.c`;

const PROGRAMS = join(import.meta.dirname, 'programs');
const COMPILE_MS = 60_000;

/** Puts an attack into a sandbox and gives the command that runs it. */
export async function plant(sandbox: Sandbox, program: Program): Promise<string> {
  const path = `/tmp/${program}`;
  await sandbox.files.write(path, await readFile(join(PROGRAMS, program), 'utf8'), { user: 'root' });
  if (program.endsWith('.py')) return `python3 ${path}`;
  const binary = path.replace(/\.c$/, '');
  await sandbox.commands.run(`gcc -O1 -o ${binary} ${path}`, { user: 'root', timeoutMs: COMPILE_MS });
  return binary;
}

/** Runs an attack as the sandbox's root, in the background: it goes on until it ends or its sandbox does. */
export async function attack(
  sandbox: Sandbox,
  program: Program,
  args: readonly string[] = [],
): Promise<CommandHandle> {
  const command = [await plant(sandbox, program), ...args.map(quoted)].join(' ');
  return sandbox.commands.run(command, { background: true, user: 'root', timeoutMs: 0 });
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
