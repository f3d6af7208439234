import type { TestProject } from 'vitest/node';
import { provideInstance } from './provide.ts';

/** One Islet for all end-to-end tests that need nothing special of it. */
export function setup(project: TestProject): Promise<() => Promise<void>> {
  return provideInstance(project);
}
