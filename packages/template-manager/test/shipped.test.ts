import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isUuid } from '@islet/contracts';
import type { TemplateRuntime } from '@islet/orchestrator';
import { createLogger } from '@islet/telemetry';
import { list } from 'tar';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createShippedTemplates } from '../src/index.ts';
import { queueLock } from './queue-lock.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const { layOutTemplates } = await import(join(root, 'scripts/templates.mjs'));

let sources: string;
let laidOut: string;
beforeEach(async () => {
  sources = await mkdtemp(join(tmpdir(), 'islet-templates-'));
  await cp(join(root, 'templates/base'), join(sources, 'base'), { recursive: true });
  // Below the checkout, where templates find the SDK.
  await mkdir(join(root, 'dist'), { recursive: true });
  laidOut = await mkdtemp(join(root, 'dist', '.templates-test-'));
});
afterEach(async () => {
  for (const dir of [sources, laidOut]) await rm(dir, { recursive: true });
});

let round = 0;
const lay = async () => {
  const templatesDir = join(laidOut, String(round++));
  await mkdir(templatesDir);
  await layOutTemplates(sources, templatesDir);
  return templatesDir;
};
const specOf = (templatesDir: string) =>
  createShippedTemplates({
    templatesDir,
    cacheDir: '/nowhere',
    debianMirror: undefined,
    runtime: {} as TemplateRuntime,
    lock: queueLock(),
    logger: createLogger({ service: 'test', level: 'error' }),
  }).spec('base');
const buildId = async () => (await specOf(await lay())).buildId;

it('base asks for what the SDK would send, and has what ready commands of templates use', async () => {
  const templatesDir = await lay();
  const { source, steps } = await specOf(templatesDir);
  const { reference } = (source as { image: { reference: string } }).image;
  expect(reference).toMatch(/^islet\/debian:13\?packages=/);
  expect(reference.split('=')[1]?.split(',')).toEqual(
    expect.arrayContaining(['iproute2', 'curl', 'procps', 'sudo', 'git']),
  );
  expect(steps.map(({ type }) => type)).toEqual(['COPY', 'RUN', 'WORKDIR']);
  const entries = new Map<string, number | undefined>();
  const onReadEntry = ({ path, mode }: { path: string; mode?: number }) => entries.set(path, mode);
  await list({ file: join(templatesDir, 'base', `${steps[0]?.filesHash}.tar`), onReadEntry });
  expect(entries.get('files/etc/')).toBe(0o755);
  expect(entries.get('files/etc/profile')).toBe(0o644);
  expect(await readdir(join(templatesDir, 'base'))).not.toContain('template.ts');
});

it('has another build id with a package, a file and an executable bit, and a UUID it is', async () => {
  const ids = [await buildId()];
  const file = join(sources, 'base/template.ts');
  await writeFile(file, (await readFile(file, 'utf8')).replace("'curl',", "'curl', 'cowsay',"));
  ids.push(await buildId());
  await writeFile(join(sources, 'base/files/etc/motd'), 'hello');
  ids.push(await buildId());
  await chmod(join(sources, 'base/files/etc/motd'), 0o755);
  ids.push(await buildId());
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.every(isUuid)).toBe(true);
});

it('has the same build id with another umask, a comment and a changed README', async () => {
  const before = await buildId();
  await chmod(join(sources, 'base/files/etc/profile'), 0o600);
  await chmod(join(sources, 'base/files/etc'), 0o700);
  const file = join(sources, 'base/template.ts');
  await writeFile(file, `// Another comment.\n${await readFile(file, 'utf8')}`);
  await writeFile(join(sources, 'base/README.md'), 'other words');
  expect(await buildId()).toBe(before);
});
