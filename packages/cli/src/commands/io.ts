import type { Layout } from '../layout.ts';
import type { Environment } from '../options/spec.ts';
import type { TextTarget } from '../output/text-reporter.ts';

/** What commands know of the process they run in. */
export interface CommandIo {
  env: Environment;
  stdout: TextTarget;
  /** Writes a line to stdout. */
  print(line: string): void;
  /** Where the shipped files are; found when a command first needs them. */
  layout(): Layout;
  version: string;
  /** Lets a command end with another exit status than 0 without an error. */
  setExitCode(code: number): void;
  /** Aborts with the first SIGINT or SIGTERM, or when nobody reads stdout any more. */
  interrupted: AbortSignal;
}
