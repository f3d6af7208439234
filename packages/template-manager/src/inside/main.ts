import { statfs } from 'node:fs/promises';
import { AccountFiles } from './accounts.ts';
import { copy } from './copy.ts';
import { configure, provision } from './provision.ts';
import { type InsideTask, TaskError } from './task.ts';
import { makeWorkdir } from './workdir.ts';

/** A disk counts as full before its last block: what is written comes in larger pieces. */
const FULL_SHARE = 0.01;

// Runs as root in a build's sandbox, on the Node of the guest files. The task is its argument, as JSON.
// Modes are those of archives and of this program, whatever was inherited.
process.umask(0o022);
try {
  await perform(JSON.parse(process.argv[2] ?? '') as InsideTask);
} catch (error) {
  // The last line is what the build fails with.
  process.stderr.write(`${error instanceof TaskError ? error.message : String((error as Error).stack)}\n`);
  process.exitCode = error instanceof TaskError ? 1 : 2;
}

async function perform(task: InsideTask): Promise<void> {
  switch (task.kind) {
    case 'copy':
      return copy(task, '/');
    case 'workdir':
      return makeWorkdir(task, '/');
    case 'user': {
      const accounts = new AccountFiles('/');
      await accounts.ensure(task.name);
      if (task.admin) await accounts.makeAdmin(task.name);
      return;
    }
    case 'provision':
      return provision(task, '/');
    case 'configure':
      return configure(task, '/');
    case 'look-for-room': {
      const { bavail, bsize, blocks } = await statfs('/');
      if (bavail < blocks * FULL_SHARE) throw new TaskError(`${bavail * bsize} bytes are left`);
      return;
    }
  }
}
