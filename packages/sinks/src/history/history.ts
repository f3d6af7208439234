import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '@islet/telemetry';
import type { AuditStore } from '../audit/audit.ts';
import { createKeptAudit, sameRecord } from '../audit/kept.ts';
import type { BuildLogStore } from '../build-logs/build-logs.ts';
import { createKeptBuildLogs, sameBuildLog } from '../build-logs/kept.ts';
import type { DeliveryStore } from '../deliveries/deliveries.ts';
import { createKeptDeliveries, sameAttempt } from '../deliveries/kept.ts';
import type { EventStore } from '../events/events.ts';
import { createKeptEvents, sameEnd, sameEvent } from '../events/kept.ts';
import { createKeptLogs, sameLog } from '../logs/kept.ts';
import type { LogStore } from '../logs/logs.ts';
import { createKeptSamples, sameSample } from '../samples/kept.ts';
import type { SampleStore } from '../samples/samples.ts';
import type { Same } from '../segments/rows.ts';
import { createKeptTeams } from '../teams/kept.ts';
import type { TeamStore } from '../teams/teams.ts';
import { createKeptVerdicts, sameVerdict } from '../verdicts/kept.ts';
import type { VerdictStore } from '../verdicts/verdicts.ts';
import { Shelf } from './shelf.ts';

/** All that is kept of what happens. */
export interface HistoryStores {
  samples: SampleStore;
  logs: LogStore;
  events: EventStore;
  buildLogs: BuildLogStore;
  teams: TeamStore;
  verdicts: VerdictStore;
  deliveries: DeliveryStore;
  audit: AuditStore;
}

export interface HistoryOptions {
  dir: string;
  /** Most that all of it takes on disk. */
  bytes: number;
  /** Unix ms. */
  now: () => number;
  logger: Logger;
}

const MB = 1024 ** 2;

/** Of the size on disk, the part of each kind: none pushes out another. And what is in memory before it is sealed, characters. */
const SHARES = {
  logs: { part: 0.38, tailBytes: 8 * MB },
  samples: { part: 0.25, tailBytes: 8 * MB },
  events: { part: 0.1, tailBytes: 4 * MB },
  ends: { part: 0.02, tailBytes: MB },
  buildLogs: { part: 0.05, tailBytes: 4 * MB },
  teams: { part: 0.05, tailBytes: 2 * MB },
  verdicts: { part: 0.05, tailBytes: 2 * MB },
  deliveries: { part: 0.05, tailBytes: 2 * MB },
  audit: { part: 0.05, tailBytes: 2 * MB },
} as const;

/** What a power cut may take along, ms. */
const FLUSH_MS = 5_000;
const TIDY_MS = 3_600_000;

/** What happened, on the disk of this machine, within one size. Its work is the calling thread's: see `HistoryThread`. */
export class History implements Disposable {
  readonly stores: HistoryStores;
  readonly #shelves: Shelf[] = [];
  readonly #timers: NodeJS.Timeout[];

  /** Opens what a process before has left, in whatever state. */
  constructor(options: HistoryOptions) {
    const shelf = (kind: keyof typeof SHARES, same: Same | undefined): Shelf => {
      const { part, tailBytes } = SHARES[kind];
      const dir = join(options.dir, kind);
      const opened = new Shelf(
        { ...options, dir, bytes: options.bytes * part, tailBytes, same },
        termsIn(dir),
      );
      this.#shelves.push(opened);
      return opened;
    };
    this.stores = {
      samples: createKeptSamples(shelf('samples', sameSample)),
      logs: createKeptLogs(shelf('logs', sameLog)),
      events: createKeptEvents(shelf('events', sameEvent), shelf('ends', sameEnd)),
      buildLogs: createKeptBuildLogs(shelf('buildLogs', sameBuildLog)),
      teams: createKeptTeams(shelf('teams', undefined)),
      verdicts: createKeptVerdicts(shelf('verdicts', sameVerdict)),
      deliveries: createKeptDeliveries(shelf('deliveries', sameAttempt)),
      audit: createKeptAudit(shelf('audit', sameRecord)),
    };
    this.#each((each) => each.tidy());
    this.#timers = [
      setInterval(() => this.#each((each) => each.flush()), FLUSH_MS).unref(),
      setInterval(() => this.#each((each) => each.tidy()), TIDY_MS).unref(),
    ];
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#each((shelf) => shelf.close());
  }

  #each(work: (shelf: Shelf) => void): void {
    for (const shelf of this.#shelves) work(shelf);
  }
}

/** The days of what a process before has left. */
function termsIn(dir: string): number[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .map((name) => Number.parseInt(name, 10))
    .filter((days) => days > 0);
}
