import { measureBesideNginx } from '../proxy/beside-nginx.ts';
import type { Row } from './row.ts';

export const edgeRow: Row = {
  name: 'edge',
  description:
    'the edge as reverse proxy: 1, 32 and 500 connections, 1 MB, WebSocket, against nginx to the same server',
  measure: (context) => {
    const full = context.size === 'full';
    const pace = full ? { rounds: 6, budgetMs: 30_000 } : { rounds: 2, budgetMs: 5_000 };
    return measureBesideNginx('edge', pace, full ? 1500 : 600, context);
  },
};
