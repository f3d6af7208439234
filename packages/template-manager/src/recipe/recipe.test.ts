import { chmod, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isUuid } from '@islet/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { recipeBuildId } from './build-id.ts';
import { loadRecipe, parseRecipe, RecipeError } from './recipe.ts';

const shipped = join(dirname(fileURLToPath(import.meta.url)), '../../../../templates');

describe('the base recipe', () => {
  let dir: string;
  const hash = async () => (await loadRecipe(dir, 'base', 'x64')).hash;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-recipe-'));
    await cp(join(shipped, 'base'), join(dir, 'base'), { recursive: true });
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it('fits the schema and has what ready commands of templates use', async () => {
    const recipe = await loadRecipe(dir, 'base', 'x64');
    expect(recipe.packages).toEqual(expect.arrayContaining(['iproute2', 'curl', 'procps', 'sudo', 'git']));
    expect(recipe.defaultUser).toBe('user');
  });

  it('changes its hash with a package, a file, an executable bit, the setup script and the machine', async () => {
    const hashes = [await hash(), (await loadRecipe(dir, 'base', 'arm64')).hash];
    const data = JSON.parse(await readFile(join(dir, 'base/recipe.json'), 'utf8'));
    await writeFile(
      join(dir, 'base/recipe.json'),
      JSON.stringify({ ...data, packages: [...data.packages, 'cowsay'] }),
    );
    hashes.push(await hash());
    await writeFile(join(dir, 'base/files/etc/motd'), 'hello');
    hashes.push(await hash());
    await chmod(join(dir, 'base/files/etc/motd'), 0o755);
    hashes.push(await hash());
    await writeFile(join(dir, 'base/setup.sh'), 'true');
    hashes.push(await hash());
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it('keeps its hash with another umask, another formatting, and a changed README', async () => {
    const before = await hash();
    await chmod(join(dir, 'base/files/etc/profile'), 0o600);
    const data = JSON.parse(await readFile(join(dir, 'base/recipe.json'), 'utf8'));
    await writeFile(join(dir, 'base/recipe.json'), JSON.stringify(data));
    await writeFile(join(dir, 'base/README.md'), 'other words');
    expect(await hash()).toBe(before);
  });

  it('has a build id that is a UUID made from its hash', async () => {
    const id = recipeBuildId(await hash());
    expect(isUuid(id)).toBe(true);
    expect(recipeBuildId(await hash())).toBe(id);
    expect(recipeBuildId('other')).not.toBe(id);
  });
});

describe('a recipe that is wrong', () => {
  it.each(['../base', 'Base', '', 'a/b'])('is not looked for under the name "%s"', async (name) => {
    await expect(loadRecipe(shipped, name, 'x64')).rejects.toThrow(RecipeError);
  });

  it('names the folder where it is missing', async () => {
    await expect(loadRecipe(shipped, 'nope', 'x64')).rejects.toThrow(
      /there is no recipe "nope".*nope\/recipe.json/,
    );
  });

  it('names the field that does not fit', async () => {
    const data = JSON.parse(await readFile(join(shipped, 'base/recipe.json'), 'utf8'));
    const text = JSON.stringify({ ...data, packages: ['curl; rm -rf /'] });
    expect(() => parseRecipe(text, 'recipe.json')).toThrow(/recipe.json: \/packages\/0/);
  });

  it('says so where it is not JSON', () => {
    expect(() => parseRecipe('{', 'recipe.json')).toThrow(/recipe.json is not JSON/);
  });
});
