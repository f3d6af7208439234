import type { TestProject } from 'vitest/node';
import { type InstanceAccess, newDataDir, removeDataDir, startInstance } from './instance.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    islet: InstanceAccess;
  }
}

/** One Islet for all end-to-end tests that need nothing special of it: `inject('islet')` says how to reach it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await newDataDir();
  const instance = await startInstance(dataDir);
  project.provide('islet', instance.access);
  return async () => {
    const code = await instance.stop('SIGTERM');
    await removeDataDir(dataDir);
    if (code !== 0) throw new Error(`islet up ended with ${code} on SIGTERM:\n${instance.log()}`);
  };
}
