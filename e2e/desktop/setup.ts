import type { TestProject } from 'vitest/node';
import { provideInstance } from '../setup/provide.ts';

/** An Islet that has the templates of desktops and of the code interpreter. */
export function setup(project: TestProject): Promise<() => Promise<void>> {
  return provideInstance(project, ['--with', 'desktop,code-interpreter']);
}
