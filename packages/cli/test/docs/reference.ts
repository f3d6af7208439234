import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { OPTIONS } from '../../src/options/options.ts';
import type { OptionSpec } from '../../src/options/spec.ts';

export const ROOT = resolve(import.meta.dirname, '../../../..');
export const DOCS = join(ROOT, 'docs');
export const REFERENCE = join(DOCS, 'reference.md');

/** Where the table of options is in the reference. */
const [BEGIN, END] = ['<!-- options: `npm run docs` writes them -->\n', '<!-- end of options -->\n'];

/** The table of all options, as the code has them. */
export function optionsTable(): string {
  const rows = Object.values(OPTIONS as Record<string, OptionSpec<unknown>>).map(
    ({ description, env, fallback, flag, hint, kind }) => {
      const written = kind === 'switch' ? `--${flag}, --no-${flag}` : `--${flag} <${hint}>`;
      const fallbackShown = fallback === undefined || fallback === '' ? '–' : `\`${fallback}\``;
      const cells = [`\`${written}\``, `\`${env}\``, fallbackShown, escaped(description)];
      return `| ${cells.join(' | ')} |`;
    },
  );
  return ['| option | variable | default | what |', '| --- | --- | --- | --- |', ...rows, ''].join('\n');
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** The reference with the options as the code has them. @throws Error if it has no place for them */
export function withOptions(reference: string): string {
  const [begin, end] = [reference.indexOf(BEGIN), reference.indexOf(END)];
  if (begin === -1 || end < begin) throw new Error('docs/reference.md has no place for options');
  return `${reference.slice(0, begin)}${BEGIN}\n${optionsTable()}\n${reference.slice(end)}`;
}

/** The first cell of each row of the table below a heading, without its backticks. */
export function firstCells(text: string, heading: string): string[] {
  const [, section = ''] = text.split(new RegExp(`^#+ ${heading}\n`, 'm'));
  const rows = section.split(/^#+ /m)[0]?.match(/^\| .*\|$/gm) ?? [];
  return rows.slice(2).map((row) => (row.split('|')[1] ?? '').replaceAll('`', '').trim());
}

/** Files that are part of the product or of its tests, by path from the root. */
export function sourceFiles(dirs: readonly string[]): string[] {
  return dirs.flatMap((dir) =>
    readdirSync(join(ROOT, dir), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(?:ts|mjs|sh)$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => !path.includes('node_modules') && !path.includes('/gen/')),
  );
}

export function read(path: string): string {
  return readFileSync(path, 'utf8');
}
