import { expect, it } from 'vitest';
import type { GatedSandbox } from '../policy.ts';
import { type Judged, VerdictTable } from './verdict-table.ts';

const sandbox = (executionId: string): GatedSandbox => ({
  ...{ address: '10.0.0.2', teamId: 't', sandboxId: 's', executionId, templateId: 'm', buildId: 'b' },
  ...{ workloadTokens: [], policy: { allowOut: [], denyOut: [], learning: false, rules: [] } },
});
const judged = (over: Partial<Judged>): Judged => ({
  ...{ name: 'a.example', address: '1.1.1.1', port: 443, decision: 'allowed', matchType: 'domain' },
  ...{ rule: 'a.example', ...over },
});

it('counts what is the same, with its first and last time', () => {
  let now = 1;
  const table = new VerdictTable(() => now++);
  table.add(sandbox('e'), judged({}));
  table.add(sandbox('e'), judged({}));
  table.add(sandbox('e'), judged({ decision: 'denied', matchType: 'default', rule: '' }));
  table.add(sandbox('f'), judged({ name: undefined }));
  const [first, second, third] = table.collect();
  expect(first).toMatchObject({ connections: 2, firstSeenMs: 1, lastSeenMs: 2, serverName: 'a.example' });
  expect(second).not.toHaveProperty('rule');
  expect(third).toMatchObject({ executionId: 'f', connections: 1 });
  expect(third).not.toHaveProperty('serverName');
  expect(table.collect()).toEqual([]);
});

it('keeps a bounded number of rows for a sandbox, and counts all', () => {
  const table = new VerdictTable();
  for (let i = 0; i < 5000; i++) {
    table.add(sandbox('e'), judged({ name: `n${i}.example`, decision: i % 2 ? 'allowed' : 'denied' }));
  }
  table.add(sandbox('f'), judged({}));
  const rows = table.collect();
  expect(rows.length).toBeLessThan(300);
  expect(rows.reduce((sum, { connections }) => sum + connections, 0)).toBe(5001);
  expect(rows.filter(({ executionId }) => executionId === 'f')).toHaveLength(1);
});
