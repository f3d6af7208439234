import { Sandbox } from '@e2b/code-interpreter';
import { expect, inject, it } from 'vitest';
import { rejection } from '../sdk/sandbox.ts';
import { islet } from '../setup/instance.ts';
import { BUILD_MS, buildTemplate, interpreters } from './interpreter.ts';

const { apiUrl, sandboxUrl, apiKey, dataDir } = inject('islet');
const connection = { apiUrl, sandboxUrl, apiKey };
const create = interpreters();

it('is built once, and says which build it is', async () => {
  const first = await buildTemplate();
  expect(first).toMatchObject({
    event: 'built',
    name: 'code-interpreter-v1',
    templateId: 'islet0codeinterpreter0template0',
  });
  expect(await buildTemplate()).toMatchObject({ buildId: first.buildId });
  await expect(islet('template', 'build', 'nothing', '--data-dir', dataDir)).rejects.toMatchObject({
    code: 1,
    stdout: expect.stringContaining('there are: code-interpreter'),
  });
});

it('is built again when somebody names it after it was deleted, who is told how far it is', {
  timeout: BUILD_MS,
  tags: 'long',
}, async () => {
  await islet('templates', 'delete', 'code-interpreter-v1', '--data-dir', dataDir);
  const refused = await rejection(Sandbox.create(connection));
  expect((refused as Error).message).toMatch(
    /template 'code-interpreter-v1' is being built \(.+\): try again/,
  );
  // Other names, tags and namespaces begin nothing.
  for (const name of ['code-interpreter', 'code-interpreter-v1:other', 'other/code-interpreter-v1']) {
    expect((await rejection(Sandbox.create(name, connection))) as Error).toMatchObject({
      message: expect.stringContaining('404'),
    });
  }
  await buildTemplate();
  expect((await (await create()).runCode('1 + 1')).text).toBe('2');
});

it('has the two contexts and the libraries that it is said to have', async () => {
  const sandbox = await create();
  expect((await sandbox.listCodeContexts()).map(({ language, cwd }) => [language, cwd])).toEqual([
    ['python', '/home/user'],
    ['javascript', '/home/user'],
  ]);
  const names =
    'aiohttp bottleneck bs4 cv2 docx h5py html5lib httpx imageio joblib lxml matplotlib networkx nltk numba numexpr numpy openpyxl orjson pandas PIL plotly pypdf pytest requests scipy seaborn skimage sklearn soundfile statsmodels sympy tabulate tqdm xarray xlrd xlsxwriter yaml';
  const { text, error } = await sandbox.runCode(
    `import importlib\nfor name in '${names}'.split(): importlib.import_module(name)\n'all'`,
    { timeoutMs: 300_000 },
  );
  expect([text, error]).toEqual(['all', undefined]);
  // The first cell of a client is the first of its context.
  expect((await sandbox.runCode('1', { language: 'js' })).executionCount).toBe(1);
});
