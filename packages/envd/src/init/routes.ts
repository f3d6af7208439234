import { ENVD_VERSION } from '@islet/contracts';
import { TOKEN_HEADER } from '../http/access.ts';
import { readJsonBody } from '../http/json-body.ts';
import type { Route } from '../http/server.ts';
import { CLOCK_HEADER } from './clock.ts';
import type { Initializer } from './initializer.ts';
import { parseInitRequest } from './request.ts';

const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** POST /init; the proxies in front never let a client reach it. */
export function initRoute(initializer: Initializer): Route {
  return {
    method: 'POST',
    path: '/init',
    async handle(request, response) {
      const body = parseInitRequest(await readJsonBody(request, MAX_BODY_BYTES));
      const token = request.headers[TOKEN_HEADER];
      const finish = await initializer.apply(body, typeof token === 'string' ? token : undefined);
      const headers = {
        'X-Envd-Version': ENVD_VERSION,
        'Cache-Control': 'no-store',
        // A virtual machine's was set by what the request told: the node sees how far it is off.
        [CLOCK_HEADER]: String(Date.now()),
      };
      response.writeHead(204, headers).end();
      finish();
    },
  };
}
