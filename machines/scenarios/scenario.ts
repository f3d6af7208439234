import type { Recipe } from '../image/recipe.ts';
import type { Source } from '../source.ts';
import type { Machine } from '../vm/machine.ts';
import type { QemuOptions } from '../vm/qemu.ts';

/** What a scenario works with. */
export interface Context {
  machine: Machine;
  /** What is tested. */
  source: Source;
  signal: AbortSignal;
  /** Does a part of the scenario, and tells people and the report of it. */
  step: <T>(title: string, work: () => Promise<T>) => Promise<T>;
  /** Something worth knowing that is not judged. */
  note: (text: string) => void;
}

/** One machine, and what is done on it. */
export interface Scenario {
  name: string;
  description: string;
  /**
   * `fresh`: a system and Node.js. `prepared`: the checkout is there, and `./islet setup` has been run. `contributor`: `npm ci`, too,
   * which brings what tests need.
   */
  image: 'fresh' | 'prepared' | 'contributor';
  /** What it is made of; Debian 13 if absent. */
  recipe?: Recipe;
  /** Of the machine, if it differs from the usual one. */
  hardware?: Partial<Pick<QemuOptions, 'cpu' | 'memoryMib' | 'kernelArguments'>>;
  run: (context: Context) => Promise<void>;
}
