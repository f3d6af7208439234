import type { Metrics } from '../metrics/metrics.ts';
import { globalEnv, type Settings } from '../settings.ts';
import { respondJson } from './respond.ts';
import type { Route } from './server.ts';

/** GET /health, /metrics and /envs. */
export function statusRoutes(deps: { settings: Settings; readMetrics: () => Metrics }): Route[] {
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
      handle(_request, response) {
        response.setHeader('Cache-Control', 'no-store');
        respondJson(response, 200, deps.readMetrics());
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
  ];
}
