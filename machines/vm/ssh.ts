import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Deadline } from '@islet/contracts';
import { attempt, CommandError, type Outcome, run, TIED } from '../process/run.ts';
import { Terminal } from './terminal.ts';

export interface SshAccess {
  port: number;
  /** Holds the key. */
  dir: string;
  /** Told of what programs at terminals write. */
  onOutput: (text: string) => void;
}

/** Makes a key for one machine. @returns its public half */
export async function makeKey(dir: string, signal: AbortSignal): Promise<string> {
  const file = join(dir, 'key');
  await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'machines', '-f', file], { signal });
  return (await run(['cat', `${file}.pub`], { signal })).trim();
}

export interface CommandOptions {
  signal: AbortSignal;
  timeoutMs: number;
  input?: string | Buffer;
}

/** Runs commands on a machine as one of its users, as a login shell of that user does. */
export class Ssh {
  readonly #access: SshAccess;
  readonly user: string;

  constructor(access: SshAccess, user: string) {
    this.#access = access;
    this.user = user;
  }

  /** Whatever comes of a script is an answer. @throws if it takes longer than it may */
  async attempt(script: string, { signal, timeoutMs, input }: CommandOptions): Promise<Outcome> {
    using deadline = new Deadline(timeoutMs, signal);
    return await attempt([...this.#command([]), login(script)], { signal: deadline.signal, input });
  }

  /** @returns what the script printed. @throws CommandError if it fails */
  async run(script: string, options: CommandOptions): Promise<string> {
    const { status, stdout, stderr } = await this.attempt(script, options);
    if (status === 0) return stdout;
    throw new CommandError(`as ${this.user}: ${script}\nended with ${status}:\n${stdout}\n${stderr}`);
  }

  /** Types a script at a terminal, and stays there. */
  terminal(script: string): Terminal {
    const [file = '', ...args] = [...TIED, ...this.#command(['-tt']), login(script)];
    return new Terminal(spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] }), this.#access.onOutput);
  }

  #command(options: readonly string[]): string[] {
    const { dir, port } = this.#access;
    const settings = {
      // The machine is new each time, and reached through the loopback of this host only.
      StrictHostKeyChecking: 'no',
      UserKnownHostsFile: '/dev/null',
      LogLevel: 'ERROR',
      IdentitiesOnly: 'yes',
      BatchMode: 'yes',
      ConnectTimeout: '30',
      ServerAliveInterval: '30',
      ServerAliveCountMax: '40',
    };
    return [
      ...['ssh', '-F', 'none', '-p', `${port}`, '-i', join(dir, 'key'), ...options],
      ...Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
      `${this.user}@127.0.0.1`,
    ];
  }
}

function login(script: string): string {
  return `bash -lc ${quote(script)}`;
}

/** A word of a shell. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
