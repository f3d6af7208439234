import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ControlPlane, newTeam } from '../setup/control-plane.ts';
import { OfficialCli } from './cli.ts';

const access = inject('islet');
let api: ControlPlane & { team: { slug: string } };
let cli: OfficialCli;
beforeAll(async () => {
  api = await newTeam(access, 'CLI templates');
  cli = await OfficialCli.open({ ...access, apiKey: api.key });
});
afterAll(async () => {
  for (const name of ['from-cli', 'failing']) await api.call('DELETE', `/templates/${name}`);
  await api[Symbol.asyncDispose]();
  await cli[Symbol.asyncDispose]();
});

interface ListedTemplate {
  names: string[];
  public: boolean;
  cpuCount: number;
  memoryMB: number;
  buildStatus: string;
}

const list = async (): Promise<ListedTemplate[]> =>
  JSON.parse(await cli.succeed(['template', 'list', '--format', 'json']));

/** A folder of the user with files in it. */
async function project(name: string, files: Record<string, string>): Promise<string> {
  const folder = join(cli.home, name);
  await mkdir(folder, { recursive: true });
  for (const [path, content] of Object.entries(files)) await writeFile(join(folder, path), content);
  return folder;
}

describe('e2b template', { timeout: 240_000 }, () => {
  it('create builds a Dockerfile; list, publish, unpublish and delete do what they say', async () => {
    const cwd = await project('app', {
      'e2b.Dockerfile': 'FROM e2bdev/base\nCOPY hello.txt /srv/\nRUN cat /srv/hello.txt\n',
      'hello.txt': 'hello from the file',
    });
    const size = ['--cpu-count', '1', '--memory-mb', '512'];
    const said = await cli.succeed(
      ['template', 'create', 'from-cli', ...size, '-c', 'sleep 1000', '--ready-cmd', 'true'],
      {
        cwd,
      },
    );
    expect(said).toContain('hello from the file');
    expect(said).toContain('Build finished');
    const name = `${api.team.slug}/from-cli`;
    expect(await list()).toEqual([
      expect.objectContaining({
        names: [name],
        public: false,
        cpuCount: 1,
        memoryMB: 512,
        buildStatus: 'ready',
      }),
    ]);
    expect(await cli.succeed(['template', 'list'])).toContain('from-cli');

    expect(await cli.succeed(['template', 'publish', 'from-cli', '-y'])).toContain(name);
    expect((await list())[0]).toMatchObject({ public: true });
    await cli.succeed(['template', 'unpublish', 'from-cli', '-y']);
    expect((await list())[0]).toMatchObject({ public: false });

    const sandbox = await api.create({ templateID: 'from-cli' });
    const { code, stderr } = await cli.run(['template', 'delete', 'from-cli', '-y']);
    expect(code).toBe(1);
    expect(stderr).toContain('there are running sandboxes using it');
    await api.kill(sandbox.sandboxID);
    await cli.succeed(['template', 'delete', 'from-cli', '-y']);
    expect(await list()).toEqual([]);
  });

  it('create tells why a build fails, and asks before it deletes', async () => {
    const cwd = await project('broken', { Dockerfile: 'FROM e2bdev/base\nRUN echo the cause >&2; exit 9\n' });
    const { code, stdout, stderr } = await cli.run(['template', 'create', 'failing'], { cwd });
    expect(code).toBe(1);
    expect(stdout + stderr).toContain('the cause');
    expect(stdout + stderr).toContain('exit status 9');

    const terminal = cli.terminal(['template', 'delete', 'failing']);
    await terminal.shows(/really want to delete/);
    terminal.type('n\r');
    await terminal.shows(/Canceled/);
    expect(await terminal.ended).toBe(0);
    expect(await list()).toHaveLength(1);
    await cli.succeed(['template', 'delete', 'failing', '-y']);
  });

  it('says what is wrong: an unknown template, a wrong key', async () => {
    const unknown = await cli.run(['template', 'delete', 'unheard-of', '-y']);
    expect([unknown.code, unknown.stderr]).toEqual([
      1,
      expect.stringContaining("template 'unheard-of' not found"),
    ]);
    await using stranger = await OfficialCli.open({ ...access, apiKey: `e2b_${'0'.repeat(40)}` });
    const refused = await stranger.run(['template', 'list']);
    expect(refused.code).toBe(1);
    expect(refused.stdout + refused.stderr).toMatch(/401|api.?key/i);
  });

  it('init and migrate write projects for the SDK', async () => {
    await cli.succeed(['template', 'init', '--name', 'fresh', '--language', 'typescript']);
    const made = await readFile(join(cli.home, 'fresh/template.ts'), 'utf8');
    expect(made).toContain('Template()');

    const old = await project('old', {
      'e2b.Dockerfile': 'FROM python:3.12\nRUN pip install requests\n',
      'e2b.toml':
        'template_id = "abc"\ntemplate_name = "legacy"\ndockerfile = "e2b.Dockerfile"\nstart_cmd = "serve"\n',
    });
    await cli.succeed(['template', 'migrate', '--language', 'typescript'], { cwd: old });
    const files = await readdir(old);
    expect(files).toEqual(expect.arrayContaining(['template.ts', 'build.prod.ts']));
    const migrated = await readFile(join(old, 'template.ts'), 'utf8');
    expect(migrated).toContain('python:3.12');
    expect(migrated).toContain('serve');
  });
});
