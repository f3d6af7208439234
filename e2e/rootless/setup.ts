import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { islet, startInstance } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { launcherOf, makeUser, type OrdinaryUser, openTun, processesOf, removeUser } from './user.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    ordinaryUser: OrdinaryUser;
  }
}

/** One Islet of an ordinary user, who is there for these tests alone: its first start builds the base template. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Whose checkout it is builds it.
  await islet('--version');
  const closeTun = await openTun();
  const user = await makeUser();
  const undo = async () => {
    await removeUser(user);
    await closeTun();
  };
  try {
    const instance = await startInstance(join(user.home, 'data'), [], { launcher: launcherOf(user) });
    project.provide('islet', instance.access);
    project.provide('ordinaryUser', user);
    process.env.NODE_EXTRA_CA_CERTS = instance.access.trust.authorityFile;
    return async () => {
      const code = await instance.stop('SIGTERM');
      try {
        // Its network ends when it finds the namespace empty.
        await until(
          'nothing of it runs',
          20_000,
          () => processesOf(user),
          ({ length }) => length === 0,
        );
      } finally {
        await undo();
      }
      if (code !== 0) throw new Error(`islet up ended with ${code}:\n${instance.log()}`);
    };
  } catch (error) {
    await undo();
    throw error;
  }
}
