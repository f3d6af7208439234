import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';

const run = promisify(execFile);

// Its own types bring those of browsers along, for the whole program.
const { parse: parseHcl } = createRequire(import.meta.url)('@cdktf/hcl2json') as {
  parse(name: string, text: string): Promise<unknown>;
};

export const DEPLOY = join(import.meta.dirname, '..');

/** A file of a folder, with its text. */
export interface Described {
  name: string;
  text: string;
}

/** The files of a folder whose names end so. */
export async function described(folder: string, ending: string): Promise<Described[]> {
  const names = (await readdir(join(DEPLOY, folder))).filter((name) => name.endsWith(ending)).sort();
  return Promise.all(
    names.map(async (name) => ({ name, text: await readFile(join(DEPLOY, folder, name), 'utf8') })),
  );
}

/** HCL as JSON has it: a block is a list under its type and its labels. @throws Error for what is no HCL */
export async function hcl({ name, text }: Described): Promise<Record<string, unknown>> {
  return (await parseHcl(name, text)) as Record<string, unknown>;
}

/** All documents of a YAML text. @throws Error for what is no YAML, or names a key twice */
export function yaml(text: string): unknown[] {
  return parseAllDocuments(text, { uniqueKeys: true, strict: true }).map((document) => {
    const [error] = document.errors;
    if (error) throw error;
    return document.toJS() as unknown;
  });
}

/** What kustomize makes of a folder. */
export async function kustomized(folder: string): Promise<unknown[]> {
  const { stdout } = await run('kubectl', ['kustomize', join(DEPLOY, folder)], { maxBuffer: 10_000_000 });
  return yaml(stdout);
}
