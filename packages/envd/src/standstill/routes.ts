import { readJsonBody } from '../http/json-body.ts';
import type { Route } from '../http/server.ts';
import type { LivedTimers } from './lived-timers.ts';
import { parseStandstill } from './standstill.ts';

const MAX_BODY_BYTES = 1024;

/** POST /unfreeze: the node set a machine going again that it had stopped. The proxies let no client reach it. */
export function unfreezeRoute(timers: LivedTimers): Route {
  return {
    method: 'POST',
    path: '/unfreeze',
    async handle(request, response) {
      timers.stoodStill(parseStandstill(await readJsonBody(request, MAX_BODY_BYTES)));
      response.writeHead(204, { 'Cache-Control': 'no-store' }).end();
    },
  };
}
