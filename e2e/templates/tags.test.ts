import { Sandbox, Template } from 'e2b';
import { describe, expect, it } from 'vitest';
import { newTeam } from '../setup/control-plane.ts';
import { BUILD_MS, sharedBuilder } from './builder.ts';

const builder = sharedBuilder('Template tags');

describe('names and tags', { timeout: BUILD_MS }, () => {
  it('lead to single builds, move and go', async () => {
    const { options } = builder.current;
    const make = (version: string) => Template().fromBaseImage().runCmd(`echo ${version} > version`);
    const version = (reference: string) => builder.current.run(reference, 'cat version');
    expect(await Template.exists('tagged', options)).toBe(false);
    const one = await builder.current.build(make('one'), 'tagged', { tags: ['v1', 'stable'] });
    expect(one.tags).toEqual(['v1', 'stable']);
    expect(await Template.exists('tagged', options)).toBe(true);
    // Nothing was built under the default tag.
    await expect(Sandbox.create('tagged', options)).rejects.toThrow("tag 'default' does not exist");
    const two = await builder.current.build(make('two'), 'tagged:v2');
    expect(await version('tagged:v1')).toBe('one');
    expect(await version('tagged:stable')).toBe('one');
    expect(await version('tagged:v2')).toBe('two');

    const moved = await Template.assignTags('tagged:v2', ['stable', 'default'], options);
    expect(moved).toEqual({ buildId: two.buildId, tags: ['stable', 'default'] });
    expect(await version('tagged:stable')).toBe('two');
    expect(await version('tagged')).toBe('two');
    expect(await version(`${builder.current.api.team.slug}/tagged:v1`)).toBe('one');

    const tags = await Template.getTags('tagged', options);
    expect(Object.fromEntries(tags.map(({ tag, buildId }) => [tag, buildId]))).toEqual({
      default: two.buildId,
      stable: two.buildId,
      v1: one.buildId,
      v2: two.buildId,
    });
    await Template.removeTags('tagged', ['stable', 'v1'], options);
    await expect(Sandbox.create('tagged:v1', options)).rejects.toThrow("tag 'v1' does not exist");
    await expect(Template.removeTags('tagged', 'default', options)).rejects.toThrow(
      "Cannot delete the 'default' tag",
    );
    await expect(Template.assignTags('tagged:v9', 'x', options)).rejects.toThrow("with tag 'v9' not found");
  });

  it('are a team’s own until it publishes the template', async () => {
    const { options, api } = builder.current;
    const others = await newTeam(api.access, 'Template readers');
    const theirs = { ...options, apiKey: others.key };
    const reference = `${api.team.slug}/shared`;
    await builder.current.build(Template().fromBaseImage().runCmd('echo shared > file'), 'shared');
    await expect(Sandbox.create(reference, theirs)).rejects.toThrow('not found');
    expect((await api.call('PATCH', '/v2/templates/shared', { body: { public: true } })).status).toBe(200);
    const sandbox = await Sandbox.create(reference, theirs);
    expect((await sandbox.files.read('/home/user/file')).trimEnd()).toBe('shared');
    // It is not deleted under anybody's sandbox.
    expect(await api.call('DELETE', '/templates/shared')).toMatchObject({ status: 400 });
    await sandbox.kill();
    expect(await others.call('DELETE', `/templates/${encodeURIComponent(reference)}`)).toMatchObject({
      status: 403,
    });
    expect((await api.call('PATCH', '/v2/templates/shared', { body: { public: false } })).status).toBe(200);
    await expect(Sandbox.create(reference, theirs)).rejects.toThrow('not found');
    await others[Symbol.asyncDispose]();
  });

  it('shadow the installation’s template of the same name for their team alone', async () => {
    await builder.current.build(Template().fromBaseImage().runCmd('echo mine > file'), 'base');
    expect(await builder.current.run('base', 'cat file')).toBe('mine');
    const others = await newTeam(builder.current.api.access, 'Template strangers');
    const sandbox = await Sandbox.create('base', { ...builder.current.options, apiKey: others.key });
    expect(await sandbox.files.exists('/home/user/file')).toBe(false);
    await sandbox.kill();
  });
});
