import { createHash } from 'node:crypto';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

const PackageName = Type.String({ pattern: '^[a-z0-9][a-z0-9+.-]+$' });
const PathPattern = Type.String({ pattern: '^/' });

const RecipeSchema = Type.Object(
  {
    name: Type.String({ pattern: '^[a-z0-9][a-z0-9-]*$' }),
    description: Type.String(),
    distribution: Type.Literal('debian'),
    suite: Type.String({ pattern: '^[a-z]+$' }),
    components: Type.Array(Type.String({ pattern: '^[a-z-]+$' }), { minItems: 1 }),
    cpuCount: Type.Integer({ minimum: 1, maximum: 32 }),
    memoryMb: Type.Integer({ minimum: 128 }),
    freeDiskMb: Type.Integer({ minimum: 0 }),
    defaultUser: Type.String({ pattern: '^[a-z_][a-z0-9_-]*$' }),
    defaultWorkdir: PathPattern,
    packages: Type.Array(PackageName),
    /** dpkg path patterns whose files are left out of the image; `includedPaths` wins over them. */
    excludedPaths: Type.Array(PathPattern),
    includedPaths: Type.Array(PathPattern),
  },
  { additionalProperties: false },
);

/** A recipe.json: what a template that ships with Islet is made of. */
export type RecipeData = Static<typeof RecipeSchema>;

export interface Recipe extends RecipeData {
  /** The folder that holds recipe.json, files/ and setup.sh. */
  dir: string;
  /** SHA-256 over everything that decides what is built, in hex. */
  hash: string;
}

/** A recipe that is missing or wrong; the message names the file and the field. */
export class RecipeError extends Error {
  override readonly name = 'RecipeError';
}

/** Raise it when the way recipes are built changes what comes out of an unchanged one. */
const BUILDER_REVISION = 1;

const RECIPE_NAME = /^[a-z0-9][a-z0-9-]*$/;

/**
 * Reads the recipe `name` under `recipesDir`.
 * @throws RecipeError where there is none or it does not fit the schema.
 */
export async function loadRecipe(recipesDir: string, name: string, arch: string): Promise<Recipe> {
  if (!RECIPE_NAME.test(name)) throw new RecipeError(`"${name}" is no recipe name`);
  const dir = join(recipesDir, name);
  const data = parseRecipe(await readRecipeFile(dir, name), join(dir, 'recipe.json'));
  return { ...data, dir, hash: await hashRecipe(dir, data, arch) };
}

/**
 * Checks a recipe.json's text.
 * @throws RecipeError naming the first field that is wrong.
 */
export function parseRecipe(text: string, file: string): RecipeData {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RecipeError(`${file} is not JSON: ${String(error)}`, { cause: error });
  }
  if (Value.Check(RecipeSchema, value)) return value;
  const [first] = Value.Errors(RecipeSchema, value);
  throw new RecipeError(`${file}: ${first?.instancePath || '/'} ${first?.message ?? 'does not fit'}`);
}

async function readRecipeFile(dir: string, name: string): Promise<string> {
  try {
    return await readFile(join(dir, 'recipe.json'), 'utf8');
  } catch (error) {
    throw new RecipeError(`there is no recipe "${name}": cannot read ${dir}/recipe.json`, { cause: error });
  }
}

/** Modes count only as far as git keeps them: the checkout's umask must not change the hash. */
async function hashRecipe(dir: string, data: RecipeData, arch: string): Promise<string> {
  const hash = createHash('sha256');
  const field = (text: string | Buffer) => hash.update(`${text.length}:`).update(text);
  field(`revision ${BUILDER_REVISION} ${arch}`);
  field(JSON.stringify(data));
  for (const path of await listFiles(dir)) {
    field(path.name);
    field(path.kind === 'link' ? await readlink(join(dir, path.name)) : await readFile(join(dir, path.name)));
    field(path.kind);
  }
  return hash.digest('hex');
}

interface RecipeFile {
  name: string;
  kind: 'file' | 'executable' | 'link';
}

async function listFiles(dir: string): Promise<RecipeFile[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files: RecipeFile[] = [];
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(dir.length + 1);
    if (name !== 'setup.sh' && !name.startsWith('files/')) continue;
    if (entry.isSymbolicLink()) files.push({ name, kind: 'link' });
    else if (entry.isFile()) {
      files.push({ name, kind: (await stat(path)).mode & 0o100 ? 'executable' : 'file' });
    }
  }
  return files.sort((a, b) => (a.name < b.name ? -1 : 1));
}
