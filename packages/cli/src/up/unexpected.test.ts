import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const module = (path: string) => JSON.stringify(join(import.meta.dirname, path));

/** A process of its own: vitest looks at uncaught errors, too. */
const PROGRAM = `
import { createLogger } from ${module('../../../telemetry/src/index.ts')};
import { outliveUnexpectedErrors } from ${module('unexpected.ts')};
const logger = createLogger({ service: 'test', level: 'error', destination: { write: (line) => process.stderr.write(line) } });
const errors = outliveUnexpectedErrors(logger);
const turn = () => new Promise((resolve) => setTimeout(resolve, 10));
Promise.reject(new TypeError('a rejection'));
setTimeout(() => { throw new TypeError('an exception'); });
Promise.reject(undefined);
await turn();
console.log(errors.count);
errors[Symbol.dispose]();
Promise.reject(new Error('the end'));
await turn();
console.log('not reached');
`;

it('go on, are logged and counted, as long as that is asked for', async () => {
  const run = promisify(execFile)(process.execPath, [
    '--import',
    'tsx',
    '--input-type=module',
    '-e',
    PROGRAM,
  ]);
  const { stdout, stderr, code } = (await run.catch((error: unknown) => error)) as {
    stdout: string;
    stderr: string;
    code: number;
  };
  expect(stdout).toBe('3\n');
  expect(code).toBe(1);
  expect(stderr).toContain('a rejection was caught by nobody');
  expect(stderr).toContain('TypeError: an exception');
});
