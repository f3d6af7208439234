import type { TestProject } from 'vitest/node';
import { type InstanceAccess, newDataDir, removeDataDir, startInstance } from './instance.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    islet: InstanceAccess;
    /** There if that is several APIs, edges and nodes. */
    cluster?: { edgeDataDir: string };
  }
}

/** Starts one Islet for all tests of a project: `inject('islet')` says how to reach it. Gives what ends it. */
export async function provideInstance(
  project: TestProject,
  extra: readonly string[] = [],
): Promise<() => Promise<void>> {
  const dataDir = await newDataDir();
  const instance = await startInstance(dataDir, extra);
  project.provide('islet', instance.access);
  // Node.js reads it when a process starts: those of the test files start later.
  const { NODE_EXTRA_CA_CERTS } = process.env;
  process.env.NODE_EXTRA_CA_CERTS = instance.access.trust.authorityFile;
  return async () => {
    if (NODE_EXTRA_CA_CERTS === undefined) delete process.env.NODE_EXTRA_CA_CERTS;
    else process.env.NODE_EXTRA_CA_CERTS = NODE_EXTRA_CA_CERTS;
    const code = await instance.stop('SIGTERM');
    await removeDataDir(dataDir);
    if (code !== 0) throw new Error(`islet up ended with ${code} on SIGTERM:\n${instance.log()}`);
  };
}
