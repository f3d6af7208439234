import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine } from '../vm/machine.ts';
import { quote, type Ssh } from '../vm/ssh.ts';
import type { Terminal } from '../vm/terminal.ts';

/** A first start, translated, on a busy host. */
const FIRST_START_MS = 90 * 60_000;
const LATER_START_MS = 20 * 60_000;
const STOP_MS = 10 * 60_000;
const COMMAND_MS = 40 * 60_000;

/** How a program reaches an Islet of a machine. */
export interface Exports {
  /** Lines of a shell. */
  exports: string;
}

/** An Islet that a person started at a terminal of a machine. */
export class RunningIslet implements AsyncDisposable {
  readonly #terminal: Terminal;
  readonly #signal: AbortSignal;
  /** The lines that it printed to be exported. */
  readonly exports: string;

  private constructor(terminal: Terminal, exports: string, signal: AbortSignal) {
    this.#terminal = terminal;
    this.exports = exports;
    this.#signal = signal;
  }

  /**
   * Types `command`, which has to start Islet, and waits until it says that it is ready.
   * @param asked answers to what it asks before, such as a password
   */
  static async start(
    user: Ssh,
    command: string,
    {
      signal,
      isFirst,
      asked,
    }: { signal: AbortSignal; isFirst: boolean; asked?: [question: RegExp, answer: string] },
  ): Promise<RunningIslet> {
    const terminal = user.terminal(command);
    const timeoutMs = isFirst ? FIRST_START_MS : LATER_START_MS;
    try {
      if (asked) {
        await terminal.waitFor(asked[0], { signal, timeoutMs });
        terminal.type(`${asked[1]}\n`);
      }
      await terminal.waitFor(/Islet is ready.*[\s\S]*Ctrl-C stops it/, { signal, timeoutMs });
    } catch (error) {
      await terminal[Symbol.asyncDispose]();
      throw error;
    }
    const exports = terminal.output.match(/^ +export E2B_\w+=.*$/gm) ?? [];
    if (exports.length !== 4) throw new Error(`four lines to export were expected:\n${terminal.output}`);
    return new RunningIslet(terminal, exports.map((line) => line.trim()).join('\n'), signal);
  }

  /** What it printed, for people who look for what went wrong. */
  get output(): string {
    return this.#terminal.output;
  }

  /** Types Ctrl-C. @throws if it does not end, or not with 0 */
  async stop(): Promise<void> {
    this.#terminal.type('\u0003');
    const status = await this.#terminal.end({ signal: this.#signal, timeoutMs: STOP_MS });
    if (status !== 0) throw new Error(`Islet ended with ${status} after Ctrl-C:\n${this.output}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#terminal[Symbol.asyncDispose]();
  }
}

/** A folder of the user's with the official SDK, as npm installs it. */
const AGENT_DIR = 'agent';

export async function installSdk(machine: Machine, signal: AbortSignal, from?: string): Promise<void> {
  const script = await readFile(join(import.meta.dirname, 'agent.mjs'));
  const get = from
    ? `mkdir -p ${AGENT_DIR} && ln -sfn ${quote(`${from}/node_modules`)} ${AGENT_DIR}/node_modules`
    : `mkdir -p ${AGENT_DIR} && cd ${AGENT_DIR} && npm init -y >/dev/null && npm i e2b && cd`;
  await machine.user.run(get, { signal, timeoutMs: COMMAND_MS });
  await machine.user.run(`cat > ${AGENT_DIR}/agent.mjs`, { signal, timeoutMs: COMMAND_MS, input: script });
}

/** Runs a deed of guest/agent.mjs as the user, with what Islet told them to export. @returns what it printed */
export async function agent(
  machine: Machine,
  islet: Exports,
  args: readonly string[],
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const command = `${islet.exports}\ncd ${AGENT_DIR} && node agent.mjs ${args.map(quote).join(' ')}`;
  const printed = await machine.user.run(command, { signal, timeoutMs: COMMAND_MS });
  return JSON.parse(printed) as Record<string, unknown>;
}
