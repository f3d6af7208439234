import type { EgressVerdict } from '@islet/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePolicy } from './decide.ts';
import { suggest } from './suggest.ts';

function verdict(over: Partial<EgressVerdict>): EgressVerdict {
  return {
    ...{ teamId: 't', sandboxId: 's', executionId: 'e', templateId: 'm', buildId: 'b', protocol: 'tcp' },
    ...{ firstSeenMs: 1, lastSeenMs: 2, destinationIp: '1.2.3.4', destinationPort: 443, connections: 1 },
    ...{ decision: 'allowed', matchType: 'learning' },
    ...over,
  };
}
const named = (...names: string[]) => names.map((serverName) => verdict({ serverName }));
const allowOf = (...verdicts: EgressVerdict[]) => suggest(verdicts).allowOut;

describe('suggested rules', () => {
  it('are names where there were some, and addresses where there were none', () => {
    const ssh = verdict({ destinationIp: '140.82.1.3', destinationPort: 22 });
    expect(suggest([...named('pypi.org', 'pypi.org'), ssh])).toEqual({
      allowOut: ['pypi.org', '140.82.1.3'],
      denyOut: ['0.0.0.0/0'],
    });
  });

  it('are a wildcard for several names below one domain, as narrow as it can be', () => {
    expect(allowOf(...named('a.x.org', 'b.x.org'))).toEqual(['a.x.org', 'b.x.org']);
    expect(allowOf(...named('a.x.org', 'b.x.org', 'c.x.org', 'x.org'))).toEqual(['*.x.org', 'x.org']);
    expect(allowOf(...named('a.y.x.org', 'b.y.x.org', 'c.d.y.x.org'))).toEqual(['*.y.x.org']);
    expect(allowOf(...named('y.x.org', 'a.y.x.org', 'b.y.x.org'))).toEqual(['*.x.org']);
  });

  it('never are a wildcard for names of different owners', () => {
    const owners = ['a', 'b', 'c', 'd'];
    for (const suffix of ['com', 'co.uk', 'github.io', 's3.amazonaws.com']) {
      const names = owners.map((owner) => `${owner}.${suffix}`);
      expect(allowOf(...named(...names))).toEqual(names);
    }
  });

  it('leave the resolver out that comes with names, and not without them', () => {
    const dns = verdict({ destinationIp: '8.8.8.8', destinationPort: 53, protocol: 'udp' });
    expect(allowOf(dns, ...named('a.org'))).toEqual(['a.org']);
    expect(allowOf(dns)).toEqual(['8.8.8.8']);
  });

  it('merge addresses into networks that hold no others', () => {
    const at = (...addresses: string[]) => addresses.map((destinationIp) => verdict({ destinationIp }));
    expect(allowOf(...at('1.2.3.4', '1.2.3.5', '1.2.3.7'))).toEqual(['1.2.3.4/31', '1.2.3.7']);
  });

  it('say nothing of what was denied', () => {
    expect(allowOf(verdict({ decision: 'denied', serverName: 'a.org' }))).toEqual([]);
  });

  const label = fc.constantFrom('a', 'b', 'c', 'www', 'api');
  const name = fc
    .tuple(fc.array(label, { maxLength: 3 }), fc.constantFrom('x.org', 'y.com', 'z.co.uk', 'w.github.io'))
    .map(([labels, domain]) => [...labels, domain].join('.'));
  const address = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.nat(7)).map(([a, b]) => `${a}.1.1.${b}`);
  const recorded = fc.oneof(
    name.map((serverName) => verdict({ serverName })),
    fc
      .tuple(address, fc.constantFrom(22, 53, 443))
      .map(([destinationIp, destinationPort]) => verdict({ destinationIp, destinationPort })),
    fc.constant(verdict({ destinationIp: '8.8.8.8', destinationPort: 53, protocol: 'udp' })),
  );

  it('allow all that was recorded', () => {
    fc.assert(
      fc.property(fc.array(recorded), (verdicts) => {
        const policy = compilePolicy({ ...suggest(verdicts), learning: false, rules: [] });
        for (const { serverName, destinationIp, destinationPort } of verdicts) {
          const kind = serverName === undefined ? 'none' : 'tls';
          const destination = {
            name: serverName,
            kind,
            address: destinationIp,
            port: destinationPort,
          } as const;
          expect(policy.decide(destination).decision).toBe('allowed');
        }
      }),
    );
  });

  it('do so with none that is not needed, and none for all', () => {
    fc.assert(
      fc.property(fc.array(recorded), (verdicts) => {
        const { allowOut } = suggest(verdicts);
        expect(allowOut).not.toContain('*');
        for (const left of allowOut) {
          const allowedNames = allowOut.filter((rule) => rule !== left);
          const policy = compilePolicy({
            ...{ allowOut: allowedNames, denyOut: ['0.0.0.0/0'], learning: false, rules: [] },
          });
          const isMissed = verdicts.some(({ serverName, destinationIp, destinationPort }) =>
            serverName === undefined
              ? policy.decide({ kind: 'none', address: destinationIp, port: destinationPort }).decision ===
                'denied'
              : policy.allowsName(serverName) === undefined,
          );
          expect(isMissed).toBe(true);
        }
      }),
    );
  });

  it('do not depend on order or repetition', () => {
    fc.assert(
      fc.property(fc.array(recorded), (verdicts) => {
        expect(suggest([...verdicts].reverse().concat(verdicts))).toEqual(suggest(verdicts));
      }),
    );
  });
});
