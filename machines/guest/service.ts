import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from '../vm/machine.ts';
import type { Exports } from './islet.ts';

/** What `islet service status --json` says, as far as it is read here. */
interface Status {
  state: string;
  pid: number | null;
  restarts: number;
  startsAtBoot: boolean;
  dataDir: string;
  serving: { apiUrl: string; sandboxUrl: string } | null;
}

/** A first start, translated, on a busy host. */
const SERVES_MS = 90 * 60_000;
const COMMAND_MS = 20 * 60_000;
/** Each question is a login, which takes a translated machine seconds. */
const ASK_EVERY_MS = 30_000;

/** An Islet that runs as a service of a machine. */
export class Service {
  readonly #machine: Machine;
  readonly #command: string;
  readonly #signal: AbortSignal;

  /** @param command how the user calls Islet */
  constructor(machine: Machine, command: string, signal: AbortSignal) {
    this.#machine = machine;
    this.#command = command;
    this.#signal = signal;
  }

  /** Runs `islet service …` as the user. @returns what it printed */
  run(words: string, timeoutMs = SERVES_MS): Promise<string> {
    return this.#machine.user.run(`${this.#command} service ${words}`, { signal: this.#signal, timeoutMs });
  }

  /** Waits until it serves, in a process other than `notIn`. @throws with the end of its journal if it does not */
  async serves(notIn?: number | null): Promise<Status & { exports: Exports['exports'] }> {
    const deadline = Date.now() + SERVES_MS;
    for (;;) {
      const { stdout, stderr } = await this.#machine.user.attempt(`${this.#command} service status --json`, {
        signal: this.#signal,
        timeoutMs: COMMAND_MS,
      });
      const status = parse(stdout);
      if (status?.serving && status.pid !== notIn) return { ...status, exports: exportsOf(status) };
      if (Date.now() > deadline) {
        throw new Error(`the service does not serve:\n${stdout}\n${stderr}\n${await this.journal()}`);
      }
      await sleep(ASK_EVERY_MS, undefined, { signal: this.#signal });
    }
  }

  async journal(): Promise<string> {
    const command = 'journalctl --unit islet --lines 60 --no-pager';
    return (await this.#machine.root.attempt(command, { signal: this.#signal, timeoutMs: COMMAND_MS }))
      .stdout;
  }

  /** Ends its process as the kernel does when memory is short. */
  async crash(): Promise<void> {
    const command = 'systemctl kill --kill-whom=main --signal=KILL islet';
    await this.#machine.root.run(command, { signal: this.#signal, timeoutMs: COMMAND_MS });
  }
}

/** Undefined while there is no service. */
function parse(text: string): Status | undefined {
  const line = text.split('\n').find((each) => each.startsWith('{'));
  return line === undefined ? undefined : (JSON.parse(line) as Status);
}

function exportsOf({ serving, dataDir }: Status): string {
  return [
    `export E2B_API_URL=${serving?.apiUrl}`,
    `export E2B_SANDBOX_URL=${serving?.sandboxUrl}`,
    `export E2B_VOLUME_API_URL=${serving?.apiUrl}`,
    `export E2B_API_KEY=$(sudo cat ${dataDir}/secrets/api-key)`,
  ].join('\n');
}
