import type { orchestratorProto, SandboxLog } from '@islet/contracts';
import { type EnvdReport, readEnvdJournal } from './envd-client.ts';

/** A sandbox that hangs is killed this much later. */
const ANSWER_DEADLINE_MS = 2_000;

/** Takes over what sandboxes tell their owners of themselves, from where the last reading ended. */
export class Journals {
  readonly #recordLog: (log: SandboxLog) => void;
  /** Where each sandbox's journal was read up to. */
  readonly #cursors = new Map<string, number>();

  /** @param recordLog knows a record that it is given a second time: two readings at once both bring it. */
  constructor(recordLog: (log: SandboxLog) => void) {
    this.#recordLog = recordLog;
  }

  /** Where the next reading of a sandbox's journal begins. */
  cursor(sandboxId: string): number {
    return this.#cursors.get(sandboxId) ?? 0;
  }

  /** Takes over what a reading brought. */
  take({ sandboxId, teamId }: orchestratorProto.SandboxConfig, journal: EnvdReport['journal']): void {
    for (const entry of journal.records) this.#recordLog({ sandboxId, teamId, ...entry });
    this.#cursors.set(sandboxId, journal.next);
  }

  /** Reads a running sandbox's journal now. One that does not answer is left to the next sample. */
  async read({ config, address }: orchestratorProto.Sandbox): Promise<void> {
    if (!config) return;
    const request = { address, deadlineMs: ANSWER_DEADLINE_MS };
    const start = this.cursor(config.sandboxId);
    const journal = await readEnvdJournal(request, start, config.envdAccessToken).catch(() => undefined);
    if (journal) this.take(config, journal);
  }

  /** Forgets the sandboxes that are no more. */
  keepOnly(sandboxIds: ReadonlySet<string | undefined>): void {
    for (const id of this.#cursors.keys()) if (!sandboxIds.has(id)) this.#cursors.delete(id);
  }
}
