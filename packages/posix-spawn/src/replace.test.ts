import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const module = join(import.meta.dirname, 'replace.ts');
const becoming = (argv: readonly string[], env: Record<string, string>) => [
  ...['--import', 'tsx', '--input-type=module', '--eval'],
  `import { replaceProcess } from ${JSON.stringify(module)};
   try { replaceProcess(${JSON.stringify(argv)}, ${JSON.stringify(env)}); } catch (error) { console.log(error.code); }`,
];

it('goes on as the other program, with the same id, input and output, and the given variables alone', async () => {
  const env = { PATH: '/usr/bin:/bin', NAME: 'a b' };
  const child = spawn(
    process.execPath,
    becoming(['sh', '-c', 'read word; echo $$ "$NAME" $word "[$HOME]"'], env),
  );
  child.stdin.end('said\n');
  let said = '';
  child.stdout.on('data', (text: Buffer) => {
    said += text;
  });
  expect(await once(child, 'close')).toEqual([0, null]);
  expect(said).toBe(`${child.pid} a b said []\n`);
});

it('stays what it was if there is no such program', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, becoming(['no-such-program'], {}));
  expect(stdout).toBe('ENOENT\n');
});
