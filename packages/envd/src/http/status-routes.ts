import type { Metrics } from '../metrics/metrics.ts';
import { globalEnv, type Settings } from '../settings.ts';
import type { RemovedFile } from '../volumes/removed-files.ts';
import { respondJson } from './respond.ts';
import type { Route } from './server.ts';

export interface StatusRoutesDeps {
  settings: Settings;
  readMetrics: () => Metrics;
  /** Of the sandbox's volumes. */
  removedFiles: () => RemovedFile[];
}

/** GET /health, /metrics, /envs and /volumes/removed. */
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
