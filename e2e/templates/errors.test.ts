import { BuildError, FileUploadError, Template } from 'e2b';
import { describe, expect, it } from 'vitest';
import { until } from '../setup/until.ts';
import { BUILD_MS, sharedBuilder } from './builder.ts';

const builder = sharedBuilder('Template errors');

interface StatusBody {
  status: string;
  reason?: {
    message: string;
    step?: string;
    logEntries: { level: string; message: string; step?: string }[];
  };
}

describe('a build that fails', { timeout: BUILD_MS }, () => {
  it('tells the command, its output and its exit status, and points at the line', async () => {
    const template = Template()
      .fromBaseImage()
      .runCmd('echo fine')
      .runCmd('echo to the user; echo cause >&2; exit 3'); // the line that is to blame
    const { error, log } = await builder.current.failure(template, 'failing');
    expect(error).toBeInstanceOf(BuildError);
    expect(error.message).toContain('exit status 3');
    expect(error.stack).toContain('errors.test.ts');
    expect(log.some((line) => line.includes('[stdout]: to the user'))).toBe(true);
    expect(log.some((line) => line.includes('[stderr]: cause'))).toBe(true);
    expect(log.filter((line) => line.startsWith('Build failed: '))).toHaveLength(1);
  });

  it('names the step, with what it warned of, and leaves the template unusable', async () => {
    const started = await Template.buildInBackground(
      Template().fromBaseImage().runCmd('true').runCmd('echo bad >&2; false'),
      'step-named',
      { ...builder.current.options, cpuCount: 1, memoryMB: 512 },
    );
    const path = `/templates/${started.templateId}/builds/${started.buildId}/status`;
    const body = await until(
      'the build ends',
      BUILD_MS,
      async () => (await builder.current.api.call<StatusBody>('GET', path)).body,
      ({ status }) => status !== 'building' && status !== 'waiting',
    );
    expect(body).toMatchObject({
      status: 'error',
      reason: { step: '2', message: expect.stringContaining('false') },
    });
    expect(body.reason?.logEntries.every(({ step, level }) => step === '2' && /warn|error/.test(level))).toBe(
      true,
    );
    expect(
      (await builder.current.api.call('POST', '/sandboxes', { body: { templateID: 'step-named' } })).status,
    ).toBe(404);
    await builder.current.api.call('DELETE', '/templates/step-named');
  });

  it.each([
    ['an unknown template', () => Template().fromTemplate('unheard-of'), "template 'unheard-of' not found"],
    [
      'a start command that fails',
      () => Template().fromBaseImage().setStartCmd('exit 7', 'false'),
      'start command failed',
    ],
    [
      'an unknown user of a copy',
      () => Template().fromBaseImage().runCmd('true', { user: 'no such' }),
      'no such',
    ],
  ])('says what is wrong with %s', async (_, make, message) => {
    const { error } = await builder.current.failure(
      make() as Parameters<typeof builder.current.failure>[0],
      'wrong',
    );
    expect(error).toBeInstanceOf(BuildError);
    expect(error.message).toContain(message);
  });

  it('is refused at once if its request is wrong', async () => {
    const template = Template().fromBaseImage();
    for (const [name, options, message] of [
      ['bad name', {}, 'Invalid name'],
      ['fine', { cpuCount: 3 }, 'CPU count must be 1 or an even number'],
      ['fine', { memoryMB: 100_000 }, "Memory can't be higher than"],
      ['fine', { tags: ['no tag'] }, 'Invalid tag'],
      ['someone/fine', {}, "namespace 'someone' must match your team"],
    ] as const) {
      const building = builder.current.build(template, name, options as object);
      await expect(building).rejects.toThrow(message);
      await expect(building).rejects.toBeInstanceOf(BuildError);
    }
  });

  it('does not begin without its files', async () => {
    const template = Template().fromBaseImage().copy('is-not-there.txt', '/srv/');
    await expect(builder.current.build(template, 'no-files')).rejects.toThrow('No files found');
    const { templateID } = (
      await builder.current.api.call<{ templateID: string }>('POST', '/v3/templates', {
        body: { name: 'uploads' },
      })
    ).body;
    const address = await builder.current.api.call<{ url: string }>(
      'GET',
      `/templates/${templateID}/files/${'0'.repeat(64)}`,
    );
    const answer = await fetch(address.body.url, { method: 'PUT', body: 'no archive'.repeat(100) });
    expect(answer.status).toBe(400);
    expect(FileUploadError.prototype).toBeInstanceOf(BuildError);
    await builder.current.api.call('DELETE', '/templates/uploads');
  });
});

describe('a build that runs', { timeout: BUILD_MS }, () => {
  it('gives way to a newer one of the same tag, and ends with its template', async () => {
    const { options, api } = builder.current;
    const slow = () => Template().fromBaseImage().runCmd('sleep 300');
    const start = () =>
      Template.buildInBackground(slow(), 'slow', { ...options, cpuCount: 1, memoryMB: 512 });
    const first = await start();
    const second = await start();
    const status = async (build: typeof first) => (await Template.getBuildStatus(build, options)).status;
    await expect.poll(() => status(first)).toBe('error');
    await expect.poll(() => status(second)).toBe('building');
    expect((await api.call('DELETE', '/templates/slow')).status).toBe(204);
    await expect(Template.getBuildStatus(second, options)).rejects.toThrow('not found');
  });
});
