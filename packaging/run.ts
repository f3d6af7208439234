import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface RunOptions {
  cwd?: string;
  env?: Readonly<Record<string, string>>;
}

const OUTPUT_LIMIT = 16 * 1024 * 1024;

/** Runs a program to its end and gives what it printed. @throws Error with what it said on stderr if it fails. */
export async function run(
  file: string,
  args: readonly string[],
  { cwd, env = {} }: RunOptions = {},
): Promise<string> {
  const options = { cwd, env: { ...process.env, ...env }, maxBuffer: OUTPUT_LIMIT };
  try {
    return (await promisify(execFile)(file, args, options)).stdout;
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string };
    throw new Error(`${file} ${args[0] ?? ''} failed: ${stderr.trim() || message}`, { cause: error });
  }
}
