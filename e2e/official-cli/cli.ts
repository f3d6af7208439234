import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { spawn as spawnOnTerminal } from '@lydell/node-pty';

const PROGRAM = resolve(import.meta.dirname, '../../node_modules/.bin/e2b');
/** Longest wait for a terminal to show something. */
const SHOWN_MS = 120_000;

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CliRun {
  /** What it reads from its standard input. */
  input?: string;
  cwd?: string;
}

/** The official command line, with the three variables that `./islet up` prints, and a home of its own. */
export class OfficialCli implements AsyncDisposable {
  readonly home: string;
  readonly #env: Record<string, string>;

  private constructor(home: string, env: Record<string, string>) {
    this.home = home;
    this.#env = env;
  }

  static async open(access: { apiUrl: string; sandboxUrl: string; apiKey: string }): Promise<OfficialCli> {
    const home = await mkdtemp(join(tmpdir(), 'islet-official-cli-'));
    return new OfficialCli(home, {
      PATH: process.env.PATH ?? '',
      HOME: home,
      NO_COLOR: '1',
      E2B_API_URL: access.apiUrl,
      E2B_SANDBOX_URL: access.sandboxUrl,
      E2B_API_KEY: access.apiKey,
    });
  }

  /** Runs a command to its end, whatever that is. */
  async run(args: string[], { input, cwd = this.home }: CliRun = {}): Promise<CliResult> {
    const child = spawn(PROGRAM, args, { cwd, env: this.#env, stdio: ['pipe', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.stdin.end(input ?? '');
    const code = await new Promise<number | null>((done, failed) => {
      child.once('error', failed);
      child.once('close', done);
    });
    return { code, stdout, stderr };
  }

  /** As `run`, for what has to succeed; gives its standard output. */
  async succeed(args: string[], options?: CliRun): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, options);
    if (code !== 0) throw new Error(`e2b ${args.join(' ')} ended with ${code}:\n${stdout}\n${stderr}`);
    return stdout;
  }

  /** Runs a command on a terminal of its own. */
  terminal(args: string[]): Terminal {
    return new Terminal(args, this.home, this.#env);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.home, { recursive: true, force: true });
  }
}

/** A command on a pseudo-terminal, and somebody who types. */
export class Terminal {
  readonly ended: Promise<number>;
  readonly #pty: ReturnType<typeof spawnOnTerminal>;
  #shown = '';

  constructor(args: string[], cwd: string, env: Record<string, string>) {
    this.#pty = spawnOnTerminal(PROGRAM, args, {
      cwd,
      env: { ...env, TERM: 'xterm-256color' },
      cols: 120,
      rows: 30,
    });
    this.#pty.onData((data) => {
      this.#shown += data;
    });
    this.ended = new Promise((done) => this.#pty.onExit(({ exitCode }) => done(exitCode)));
  }

  type(text: string): void {
    this.#pty.write(text);
  }

  resize(cols: number, rows: number): void {
    this.#pty.resize(cols, rows);
  }

  /** Waits until the screen has shown something, and gives what it was. */
  async shows(pattern: RegExp): Promise<RegExpExecArray> {
    const deadline = Date.now() + SHOWN_MS;
    for (;;) {
      const text = stripVTControlCharacters(this.#shown);
      const found = pattern.exec(text);
      if (found) return found;
      if (Date.now() > deadline) throw new Error(`the terminal never showed ${pattern}; it showed:\n${text}`);
      await sleep(50);
    }
  }

  /** Ends the command if it still runs. */
  close(): void {
    this.#pty.kill('SIGKILL');
  }
}
