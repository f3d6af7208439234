import { readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { OptionError } from '../options/spec.ts';

/** What a template is built from. */
export interface BuildContext {
  dockerfile: string;
  /** What stands in it. */
  content: string;
  /** The folder that COPY reads from. */
  contextDir: string;
}

/** The names that are looked for in a folder; the first is the official CLI's. */
const NAMES = ['e2b.Dockerfile', 'Dockerfile'];

/**
 * Finds the Dockerfile that a path means: itself, or the one in a folder. COPY reads from the folder that it lies in.
 * @throws OptionError if there is none
 */
export async function findDockerfile(path: string): Promise<BuildContext> {
  const given = resolve(path);
  const found = await stat(given).catch(() => undefined);
  if (!found) throw new OptionError(`there is neither a Dockerfile nor a folder at ${given}`);
  if (!found.isDirectory()) return contextOf(given, await readFile(given, 'utf8'));
  for (const name of NAMES) {
    const dockerfile = join(given, name);
    const content = await readFile(dockerfile, 'utf8').catch(() => undefined);
    if (content !== undefined) return contextOf(dockerfile, content);
  }
  throw new OptionError(`there is no ${NAMES.join(' or ')} in ${given}`);
}

function contextOf(dockerfile: string, content: string): BuildContext {
  return { dockerfile, content, contextDir: dirname(dockerfile) };
}
