import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FINDINGS } from '../../src/doctor/check.ts';
import { OPTIONS } from '../../src/options/options.ts';
import { DOCS, firstCells, REFERENCE, ROOT, read, sourceFiles, withOptions } from './reference.ts';

const reference = read(REFERENCE);

describe('the reference', () => {
  it('has the options of the code (`npm run docs` writes them)', () => {
    expect(reference).toBe(withOptions(reference));
  });

  it('has every other variable that is read, and none that is not', () => {
    const ofOptions = new Set<string>(Object.values(OPTIONS).map(({ env }) => env));
    const listed = firstCells(reference, 'Other variables').flatMap((cell) => cell.split(/, /));
    expect(listed.sort()).toEqual([...variablesInCode()].filter((name) => !ofOptions.has(name)).sort());
  });

  it('has every exit status that a program ends with by itself', () => {
    const listed = firstCells(reference, 'Exit statuses');
    const inCode = exitStatuses();
    expect(listed.map(Number)).toEqual([0, ...inCode].sort((a, b) => a - b));
  });
});

/** Names that are no variables of the environment: the build puts the first one in. */
const NO_VARIABLES = new Set(['ISLET_VERSION']);
const NAMES =
  /\b(?:ISLET_[A-Z0-9_]+|E2B_(?!00)[A-Z0-9_]+|DATABASE_URL|SSL_CERT_FILE|SSL_CERT_DIR|NODE_EXTRA_CA_CERTS|https?_proxy|UV_THREADPOOL_SIZE|npm_config_cache)\b/g;
const READ = /\benv(?:ironment)?\.([A-Za-z_]\w*_\w+)\b/g;

/** What the product, its launcher and the tests' settings read of the environment. */
function variablesInCode(): Set<string> {
  const files = [
    ...sourceFiles(['packages', 'scripts', 'e2e', 'bench']).filter((path) => !path.endsWith('docs.test.ts')),
    ...['islet', 'vitest.config.ts', 'package.json'].map((name) => join(ROOT, name)),
  ];
  const found = new Set<string>();
  for (const path of files) {
    const text = read(path);
    const isOwn = path.startsWith(join(ROOT, 'packages')) && !/\.test\.ts$|\/test\//.test(path);
    const names = [...text.matchAll(NAMES)].map(([name]) => name);
    // What a program in a sandbox, or a test, is given in its own environment is not Islet's to read.
    if (isOwn) names.push(...[...text.matchAll(READ)].map(([, name]) => name as string));
    for (const name of names) if (!NO_VARIABLES.has(name)) found.add(name);
  }
  return found;
}

function exitStatuses(): number[] {
  const files = sourceFiles(['packages/cli/src', 'bench', 'fuzz']).filter(
    (path) => !path.endsWith('.test.ts'),
  );
  const found = files.flatMap((path) => {
    const text = read(path);
    const ends = [...text.matchAll(/(?:process\.exit|setExitCode)\((\w+)\)/g)].map(
      ([, what]) => what as string,
    );
    const named = [...text.matchAll(/\bEXIT_\w+(?= = )/g)].map(([name]) => name);
    return [...ends, ...named].map((what) => Number(/^\d+$/.test(what) ? what : constantOf(what, text)));
  });
  return [...new Set(found)].filter((status) => status !== 0);
}

/** What a constant of a file is. */
function constantOf(name: string, text: string): string | undefined {
  return new RegExp(`const ${name} = (\\d+);`).exec(text)?.[1];
}

it('tells what to do about everything that doctor looks at', () => {
  const troubleshooting = read(join(DOCS, 'troubleshooting.md'));
  const entries = [...troubleshooting.matchAll(/^### `([a-z-]+)`/gm)].map(([, id]) => id);
  expect(entries).toEqual([...FINDINGS]);
});

it('lists every page in the index, and the index in the README', () => {
  const index = read(join(DOCS, 'README.md'));
  const pages = readdirSync(DOCS).filter((name) => name.endsWith('.md') && name !== 'README.md');
  const listed = [...index.matchAll(/\]\(([a-z-]+\.md)\)/g)].map(([, name]) => name);
  expect([...new Set(listed)].sort()).toEqual(pages.sort());
  expect(read(join(ROOT, 'README.md'))).toContain('(docs/README.md)');
});

it('leads nowhere that is not there', () => {
  const dirs = [ROOT, DOCS, join(DOCS, 'decisions')];
  const broken = dirs.flatMap((dir) =>
    readdirSync(dir)
      .filter((name) => name.endsWith('.md'))
      .flatMap((name) => brokenLinks(join(dir, name))),
  );
  expect(broken).toEqual([]);
});

it('names no file, and no command of npm, that is not there', () => {
  const files = sourceFiles([
    'packages',
    'packaging',
    'scripts',
    'e2e',
    'bench',
    'fuzz',
    'machines',
    'templates',
  ]);
  const { scripts } = JSON.parse(read(join(ROOT, 'package.json'))) as { scripts: Record<string, string> };
  const pages = readdirSync(DOCS).filter((name) => name.endsWith('.md'));
  const missing = pages.flatMap((page) => {
    const text = read(join(DOCS, page));
    const named = [...text.matchAll(/`([\w./*-]+\.(?:ts|mjs|sh))`/g)].map(([, name]) => name as string);
    const commands = [...text.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name as string);
    return [
      ...named.filter((name) => !files.some((path) => endOf(name).test(path))),
      ...commands.filter((name) => !(name in scripts)),
    ].map((name) => `${page}: ${name}`);
  });
  expect(missing).toEqual([]);
});

/** Paths that end so; a star stands for a part of a name. */
function endOf(name: string): RegExp {
  const parts = name.split('*').map((part) => part.replaceAll('.', '\\.'));
  return new RegExp(`/${parts.join('[^/]*')}$`);
}

function brokenLinks(page: string): string[] {
  return [...read(page).matchAll(/\]\(((?!https?:|mailto:)[^)\s]*)\)/g)].flatMap(([, link = '']) => {
    const [file = '', heading] = link.split('#');
    const path = file === '' ? page : join(dirname(page), file);
    const leads = existsSync(path) && (heading === undefined || headings(path).has(heading));
    return leads ? [] : [`${page}: ${link}`];
  });
}

/** As they are linked to. */
function headings(page: string): Set<string> {
  return new Set(
    [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, text = '']) =>
      text
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}
