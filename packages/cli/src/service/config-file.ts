import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OPTIONS, type OptionName } from '../options/options.ts';
import type { OptionSources, OptionSpec } from '../options/spec.ts';
import { UP_OPTIONS } from '../up/config.ts';

/** Values of the service's options, by variable. */
export type ServiceVariables = Readonly<Record<string, string>>;

/** The file as it is before anybody changes it: every option, none of them set. */
export function configTemplate(): string {
  const options = UP_OPTIONS.map((name) => {
    const { env, description, fallback }: OptionSpec<unknown> = OPTIONS[name];
    return `\n# ${description}\n#${env}=${fallback ?? ''}\n`;
  });
  return `# Options of the service islet, read at its start: systemctl restart islet
# islet up --help lists the same ones. A line is NAME=value; a value with spaces wants quotes.
${options.join('')}`;
}

/** What the user gave for these options, as flags or variables, by variable. */
export function givenVariables(
  names: readonly OptionName[],
  { flags, env }: OptionSources,
): ServiceVariables {
  return Object.fromEntries(
    names.flatMap((name) => {
      const spec: OptionSpec<unknown> = OPTIONS[name];
      const value = flags[spec.flag] ?? env[spec.env];
      return value === undefined || value === '' ? [] : [[spec.env, value]];
    }),
  );
}

/** The variables that a file sets. */
export function readVariables(text: string): ServiceVariables {
  const lines = text.matchAll(/^([A-Z_][A-Z0-9_]*)=(.*)$/gm);
  return Object.fromEntries([...lines].map(([, name, value = '']) => [name, unquoted(value.trim())]));
}

/**
 * The file with these variables set: in place of their first line, commented out or not, at the end if there is none.
 * @throws RangeError for a value of more than one line.
 */
export function withVariables(text: string, variables: ServiceVariables): string {
  let changed = text;
  for (const [name, value] of Object.entries(variables)) {
    if (/[\0\r\n]/.test(value)) throw new RangeError(`${name} must be one line`);
    const line = `${name}=${quoted(value)}`;
    const old = new RegExp(`^${name}=.*$`, 'm');
    const place = old.test(changed) ? old : new RegExp(`^#${name}=.*$`, 'm');
    if (place.test(changed)) changed = changed.replace(place, () => line);
    else changed += `${changed === '' || changed.endsWith('\n') ? '' : '\n'}${line}\n`;
  }
  return changed;
}

/** Undefined if there is no such file. */
export function readConfigFile(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

/** Replaces the file; it may hold the password of a database, so its owner alone reads it. */
export async function writeConfigFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, text, { mode: 0o600 });
  await rename(draft, path);
}

function quoted(value: string): string {
  return /^[\w.,:/@+-]*$/.test(value) ? value : `"${value.replaceAll(/["\\`$]/g, '\\$&')}"`;
}

function unquoted(value: string): string {
  if (/^".*"$/.test(value)) return value.slice(1, -1).replaceAll(/\\(["\\`$])/g, '$1');
  return /^'.*'$/.test(value) ? value.slice(1, -1) : value;
}
