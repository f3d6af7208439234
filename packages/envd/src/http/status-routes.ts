import type { ServerResponse } from 'node:http';
import { CLOCK_HEADER } from '../init/clock.ts';
import type { Journal } from '../log/journal.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { globalEnv, type Settings } from '../settings.ts';
import type { RemovedFile } from '../volumes/removed-files.ts';
import { respondJson } from './respond.ts';
import type { Route } from './server.ts';

/** Says on GET /journal how far it is, so that who reads it knows when the past has been sent. */
const JOURNAL_HEADER = 'X-Journal-Head';

export interface StatusRoutesDeps {
  settings: Settings;
  readMetrics: () => Metrics;
  journal: Journal;
  /** Takes over the time, Unix ms. */
  keepClock: (toldMs: number) => void;
  /** Of the sandbox's volumes. */
  removedFiles: () => RemovedFile[];
}

/** GET /health, /metrics, /journal, /envs and /volumes/removed. */
export function statusRoutes(deps: StatusRoutesDeps): Route[] {
  return [
    {
      method: 'GET',
      path: '/health',
      handle(_request, response) {
        response.writeHead(204, { 'Cache-Control': 'no-store' }).end();
      },
    },
    {
      method: 'GET',
      path: '/metrics',
      handle(request, response) {
        // The node tells virtual machines the time whenever it asks them how they do.
        const told = request.headers[CLOCK_HEADER];
        if (typeof told === 'string' && /^\d{13}$/.test(told)) deps.keepClock(Number(told));
        response.setHeader('Cache-Control', 'no-store');
        respondJson(response, 200, deps.readMetrics());
      },
    },
    {
      method: 'GET',
      path: '/journal',
      handle(request, response) {
        const start = Number(new URL(request.url ?? '', 'http://envd').searchParams.get('start') ?? 0);
        sendJournal(deps.journal, Number.isSafeInteger(start) && start >= 0 ? start : 0, response);
      },
    },
    {
      method: 'GET',
      path: '/envs',
      handle(_request, response) {
        response.setHeader('Cache-Control', 'no-store');
        respondJson(response, 200, globalEnv(deps.settings));
      },
    },
    {
      method: 'GET',
      path: '/volumes/removed',
      handle(_request, response) {
        response.setHeader('Cache-Control', 'no-store');
        respondJson(response, 200, deps.removedFiles());
      },
    },
  ];
}

/** Sends the journal as a line of JSON for each record, and each new record when it is written, until the reader is gone. */
function sendJournal(journal: Journal, start: number, response: ServerResponse): void {
  let next = start;
  const send = () => {
    // What a slow reader misses it finds missing by its number.
    while (!response.writableNeedDrain) {
      const record = journal.at(next);
      if (!record) return;
      next = record.seq + 1;
      response.write(`${JSON.stringify(record)}\n`);
    }
  };
  response.writeHead(200, {
    'Content-Type': 'application/x-ndjson',
    'Cache-Control': 'no-store',
    [JOURNAL_HEADER]: String(journal.head),
  });
  response.flushHeaders();
  response.on('drain', send);
  response.once('close', journal.onRecord(send));
  send();
}
