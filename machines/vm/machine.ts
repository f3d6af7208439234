import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { USER } from '../image/recipe.ts';
import { type HostNetwork, networkFiles } from '../network.ts';
import { type Qemu, type QemuOptions, startQemu } from './qemu.ts';
import { makeKey, quote, Ssh } from './ssh.ts';

/** Translated, a machine is up after a minute if it has a core to itself. */
const BOOT_MS = 20 * 60_000;
const RETRY_MS = 2_000;
/** What asks a machine a question gives up after that. */
const QUESTION_MS = 5 * 60_000;

export interface MachineOptions extends Omit<QemuOptions, 'publicKey' | 'consoleFile'> {
  network: HostNetwork;
  signal: AbortSignal;
  /** Told of each line that a program at a terminal writes. */
  onLine: (line: string) => void;
}

/** A fresh machine that booted, and that is gone without a trace when it is disposed of. */
export class Machine implements AsyncDisposable {
  readonly root: Ssh;
  /** The ordinary user. */
  readonly user: Ssh;
  readonly #qemu: Qemu;
  readonly #dir: string;
  readonly #signal: AbortSignal;

  private constructor(qemu: Qemu, dir: string, { signal, onLine }: MachineOptions) {
    this.#qemu = qemu;
    this.#dir = dir;
    this.#signal = signal;
    const onOutput = lineByLine(onLine);
    const access = { port: qemu.sshPort, dir, onOutput };
    this.root = new Ssh(access, 'root');
    this.user = new Ssh(access, USER.name);
  }

  /** @throws if it does not boot: with what its console showed */
  static async start(options: MachineOptions): Promise<Machine> {
    const { network, signal } = options;
    const dir = await mkdtemp(join(tmpdir(), 'islet-machine-'));
    try {
      const publicKey = await makeKey(dir, signal);
      const qemu = await startQemu({ ...options, publicKey, consoleFile: join(dir, 'console') });
      const machine = new Machine(qemu, dir, options);
      try {
        await machine.#waitForBoot('');
        await machine.#prepare(network);
        return machine;
      } catch (error) {
        signal.throwIfAborted();
        const shown = await machine.console();
        await qemu[Symbol.asyncDispose]();
        throw new Error(`the machine did not boot; its console ends with:\n${shown}`, { cause: error });
      }
    } catch (error) {
      await rm(dir, { recursive: true, force: true });
      throw error;
    }
  }

  /** The end of what the console showed. */
  async console(): Promise<string> {
    return (await readFile(join(this.#dir, 'console'), 'utf8').catch(() => '')).slice(-8000);
  }

  /** For people who look for a failure: its journal and its console. */
  async evidence(): Promise<string> {
    const patience = { signal: this.#signal, timeoutMs: QUESTION_MS };
    const journal = await this.root.attempt('journalctl --boot --no-pager --lines 200', patience).then(
      ({ stdout }) => stdout,
      (error: Error) => `no journal: ${error.message}`,
    );
    return [
      ['journal', journal],
      ['console', await this.console()],
    ]
      .map(([title, text]) => `--- ${title}\n${text}\n`)
      .join('');
  }

  /** Restarts the machine as its owner would, and waits until it is up again. */
  async reboot(): Promise<void> {
    const before = await this.#bootId();
    // Its answer may or may not come before the connection is cut.
    await this.root.attempt('systemctl reboot', { signal: this.#signal, timeoutMs: QUESTION_MS });
    await this.#waitForBoot(before);
  }

  /** Writes a file as root. */
  async write(path: string, content: string | Buffer): Promise<void> {
    const script = `mkdir -p "$(dirname ${quote(path)})" && cat > ${quote(path)}`;
    await this.root.run(script, { signal: this.#signal, timeoutMs: QUESTION_MS, input: content });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#qemu[Symbol.asyncDispose]();
    await rm(this.#dir, { recursive: true, force: true });
  }

  /** What a machine gets that is about this host and this run: its network, the key for the user, too. */
  async #prepare(network: HostNetwork): Promise<void> {
    const home = `/home/${USER.name}`;
    for (const [path, content] of Object.entries(networkFiles(network, [home, '/root']))) {
      await this.write(path, content);
    }
    const script = `
set -eu
install -d -m 700 -o ${USER.name} -g ${USER.name} ${home}/.ssh
install -m 600 -o ${USER.name} -g ${USER.name} /root/.ssh/authorized_keys ${home}/.ssh/authorized_keys
chown ${USER.name}:${USER.name} ${home}/.npmrc`;
    await this.root.run(script, { signal: this.#signal, timeoutMs: QUESTION_MS });
  }

  async #bootId(): Promise<string> {
    const { stdout } = await this.root.attempt('cat /proc/sys/kernel/random/boot_id', {
      signal: this.#signal,
      timeoutMs: QUESTION_MS,
    });
    return stdout.trim();
  }

  /** Until it answers, and not as the boot `before`, and has started what it starts. */
  async #waitForBoot(before: string): Promise<void> {
    const deadline = Date.now() + BOOT_MS;
    const gone = this.#qemu.gone.then((why) => {
      throw new Error(why);
    });
    gone.catch(() => {});
    for (;;) {
      const id = await Promise.race([this.#bootId(), gone]);
      if (id !== '' && id !== before) break;
      if (Date.now() > deadline) throw new Error(`no answer by ssh within ${BOOT_MS / 60_000} minutes`);
      await sleep(RETRY_MS, undefined, { signal: this.#signal });
    }
    await this.root.attempt('systemctl is-system-running --wait', {
      signal: this.#signal,
      timeoutMs: BOOT_MS,
    });
  }
}

/**
 * Cuts what comes in pieces into lines. What is written over a line, as progress is, counts as its end; the same line again is
 * told once.
 */
function lineByLine(onLine: (line: string) => void): (text: string) => void {
  let [rest, last] = ['', ''];
  return (text) => {
    const lines = (rest + text).split(/[\r\n]+/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.trim() === '' || line === last) continue;
      last = line;
      onLine(line);
    }
  };
}
