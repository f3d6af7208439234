import { describe, expect, it } from 'vitest';
import { byDestination, type DestinationVerdict, reasonOf } from './destinations.ts';

const verdict = (over: Partial<DestinationVerdict>): DestinationVerdict => ({
  ...{ protocol: 'tcp', destinationIp: '93.184.215.14', destinationPort: 443, decision: 'allowed' },
  ...{ matchType: 'learning', firstSeenMs: 10, lastSeenMs: 20, connections: 1, ...over },
});

describe('byDestination', () => {
  it('counts a name’s addresses together, and different decisions apart', () => {
    const whose = { teamId: 't', sandboxId: 'i', executionId: 'e', templateId: 'b', buildId: 'b' };
    const full = (over: Partial<DestinationVerdict>) => ({ ...whose, ...verdict(over) });
    const counted = byDestination([
      full({ serverName: 'a.example', destinationIp: '1.1.1.1', connections: 2, lastSeenMs: 30 }),
      full({ serverName: 'a.example', destinationIp: '1.0.0.1', connections: 3, firstSeenMs: 5 }),
      full({ serverName: 'a.example', decision: 'denied', lastSeenMs: 40 }),
    ]);
    expect(counted).toMatchObject([
      { decision: 'denied', connections: 1, lastSeenMs: 40 },
      { decision: 'allowed', connections: 5, firstSeenMs: 5, lastSeenMs: 30 },
    ]);
  });
});

it('says why in words', () => {
  const denied = { decision: 'denied', matchType: 'cidr', rule: '0.0.0.0/0' } as const;
  expect(reasonOf(verdict({ ...denied, serverName: 'evil.example' }))).toBe(
    '0.0.0.0/0 in denyOut denies it, and nothing in allowOut allows evil.example',
  );
  expect(reasonOf(verdict({ ...denied, destinationPort: 22 }))).toContain(
    'port 22 needs an address in allowOut',
  );
  expect(reasonOf(verdict({ decision: 'denied', matchType: 'always-denied' }))).toContain('no sandbox');
});
