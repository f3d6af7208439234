import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Sandbox } from 'e2b';
import type { InstanceAccess } from '../../e2e/setup/instance.ts';
import { sdkOptions } from '../islet/sdk.ts';
import { timed } from '../pace/timed.ts';

const PROGRAM = join(import.meta.dirname, 'bare-server.ts');

/** A sandbox asked without Islet's servers: through one that only passes requests on. */
export class BareServer implements AsyncDisposable {
  /** Where it listens, in place of the edge. */
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(url: string, child: ChildProcess, folder: string) {
    this.url = url;
    this.#child = child;
    this.#folder = folder;
  }

  /** @param address of the sandbox, which only this host can reach. */
  static async start(address: string): Promise<BareServer> {
    const folder = await mkdtemp(join(tmpdir(), 'islet-bench-bare-'));
    const child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, address, folder], {
      stdio: ['pipe', 'pipe', 'inherit'],
      // A session of its own, as Islet has.
      detached: true,
    });
    const [port] = await once(child.stdout, 'data');
    return new BareServer(`http://127.0.0.1:${Number(port)}`, child, folder);
  }

  /** The sandbox, with the SDK's requests going through this server. */
  sandbox(access: InstanceAccess, sandboxId: string): Promise<Sandbox> {
    return Sandbox.connect(sandboxId, { ...sdkOptions(access), sandboxUrl: this.url });
  }

  /** Milliseconds of the least that a create needs; see the program. */
  record(): Promise<number> {
    return timed(async () => {
      const { status } = await fetch(`${this.url}/record`, { method: 'POST' });
      if (status !== 201) throw new Error(`the bare server answered ${status}`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}
