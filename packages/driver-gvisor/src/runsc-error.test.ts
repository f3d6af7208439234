import { MissingFileError } from '@islet/driver';
import { expect, it } from 'vitest';
import { BrokenSaveError, runscError } from './runsc-error.ts';

const cause = new Error('exit status 128');

it.each([
  'restoring container: loading kernel: file does not exist',
  'failed to open "/data/log": no such file or directory',
])('knows a restore that misses a file: %s', (reason) => {
  expect(runscError('restore', reason, cause)).toBeInstanceOf(MissingFileError);
  expect(runscError('restore', reason, cause)).toMatchObject({
    message: `runsc restore failed: ${reason}`,
    cause,
  });
});

it('takes nothing else for one', () => {
  expect(runscError('restore', 'out of memory', cause)).not.toBeInstanceOf(MissingFileError);
  expect(runscError('create', 'no such file or directory', cause)).not.toBeInstanceOf(MissingFileError);
});

it('knows a checkpoint that could not be written', () => {
  const reason = 'checkpointing container "m1": encoding error: runtime error: invalid memory address';
  expect(runscError('checkpoint', reason, cause)).toBeInstanceOf(BrokenSaveError);
  expect(runscError('restore', reason, cause)).not.toBeInstanceOf(BrokenSaveError);
  expect(runscError('checkpoint', 'container is not running', cause)).not.toBeInstanceOf(BrokenSaveError);
});
