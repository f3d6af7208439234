import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Sandbox, Template } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { expectSettlesTo, settledFootprint } from '../setup/settle.ts';
import { until } from '../setup/until.ts';

let dataDir: string;
let islet: RunningInstance;

/** By somebody whose umask keeps everybody else out: users of sandboxes have to read what builds make all the same. */
const start = async () => {
  const usual = process.umask(0o077);
  const starting = startInstance(dataDir, ['--warm-memory', '0']);
  process.umask(usual);
  islet = await starting;
};
beforeAll(async () => {
  dataDir = await newDataDir();
  await start();
});
afterAll(async () => {
  await islet?.stop('SIGTERM');
  await removeDataDir(dataDir);
});

const options = () => {
  const { apiUrl, sandboxUrl, apiKey } = islet.access;
  return { apiUrl, sandboxUrl, apiKey };
};

/** Its machine's processes, mounts and layers have to go with it, wherever it was in its work. */
/** Without those of the whole Islet, which the first build's runtime makes in every hierarchy and Islet's end removes. */
const ofMachines = (cgroups: readonly string[]) => cgroups.filter((path) => !/\/islet-[0-9a-f]+$/.test(path));

it('a build whose Islet is killed goes on at the next start, and leaves nothing behind', async () => {
  const before = await settledFootprint({ dataDir });
  const flag = randomUUID();
  const template = Template()
    .fromBaseImage()
    .runCmd(`echo ${flag} > ~/first`)
    .runCmd(`echo second-${flag} && sleep 5 && cp ~/first ~/second`);
  const build = await Template.buildInBackground(template, `killed-${flag.slice(0, 8)}`, options());
  const status = () => Template.getBuildStatus(build, options());
  await until(
    'the second step runs',
    60_000,
    async () => (await status()).logEntries.map(({ message }) => message),
    (messages) => messages.some((message) => message.endsWith(`[stdout]: second-${flag}`)),
  );
  await islet.stop('SIGKILL');
  await start();

  const { logEntries } = await until('the build ends', 90_000, status, ({ status }) => status !== 'building');
  expect((await status()).status).toBe('ready');
  const messages = logEntries.map(({ message }) => message);
  expect(messages).toContainEqual(expect.stringMatching(/^CACHED \[builder 1\/2\] RUN echo/));
  const sandbox = await Sandbox.create(build.templateId, { ...options(), timeoutMs: 60_000 });
  try {
    expect(await sandbox.files.read('/home/user/second')).toBe(`${flag}\n`);
  } finally {
    await sandbox.kill();
  }
  // Other overlays of this machine, such as its own root, name none of its folders.
  const overlays = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .filter((line) => line.includes(' - overlay ') && line.includes(dataDir));
  expect(overlays).toEqual([]);
  const after = await settledFootprint({ dataDir });
  expect(after.mounts, after.mounts.join('\n')).toHaveLength(before.mounts.length);
  expect(ofMachines(after.cgroups)).toHaveLength(ofMachines(before.cgroups).length);
  const machines = after.files.filter((file) => file.startsWith(`${dataDir}/machines/`));
  expect(machines).toEqual([]);
}, 240_000);

/** Nobody answers a deletion only when all is freed, but all of it has to be soon after. */
it('a template that is deleted while it is built takes its build with it', async () => {
  const before = await settledFootprint({ dataDir });
  const template = Template().fromBaseImage().runCmd('echo begun && sleep 3600');
  const build = await Template.buildInBackground(template, `deleted-${randomUUID().slice(0, 8)}`, options());
  await until(
    'the step runs',
    60_000,
    async () => (await Template.getBuildStatus(build, options())).logEntries,
    (entries) => entries.some(({ message }) => message.endsWith('[stdout]: begun')),
  );
  const { apiUrl, apiKey } = options();
  const path = `${apiUrl}/templates/${build.templateId}`;
  const { status } = await fetch(path, { method: 'DELETE', headers: { 'X-API-Key': apiKey } });
  expect(status).toBe(204);
  await expectSettlesTo(before, { dataDir });
}, 240_000);
