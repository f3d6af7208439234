import { create } from '@bufbuild/protobuf';
import { type EgressVerdict, orchestratorProto } from '@islet/contracts';
import type { EgressGateway, GatedSandbox } from '@islet/egress';
import type { EgressRules, Flow, Slot } from '@islet/network';
import { createLogger } from '@islet/telemetry';
import { describe, expect, it } from 'vitest';
import { DirectFlows } from './direct-flows.ts';
import { firewallRules, needsGateway, policyOf } from './policy.ts';
import { SandboxEgress } from './sandbox-egress.ts';

type Rules = Parameters<typeof create<typeof orchestratorProto.EgressSchema>>[1];

const egress = (rules: Rules) => create(orchestratorProto.EgressSchema, rules);
const owner = (rules: Rules) => ({
  config: create(orchestratorProto.SandboxConfigSchema, {
    ...{ sandboxId: 'ia', teamId: 't', templateId: 'base', buildId: 'b', egress: egress(rules) },
  }),
  executionId: 'e',
});
const ALL = ['0.0.0.0/0'];
const named = { allowOut: ['a.example', '1.1.1.1'], denyOut: ALL };
const transform = [{ domain: 'A.example', rules: [{ transform: { headers: { a: 'b' } } }] }];

describe('needsGateway', () => {
  it.each<[boolean, Rules]>([
    [false, {}],
    [false, { allowInternetAccess: true, allowOut: ['1.1.1.1'] }],
    [false, { domainRules: [{ domain: 'a.example', rules: [{}] }] }],
    [true, { allowInternetAccess: false }],
    [true, { denyOut: ['9.9.9.9'] }],
    [true, named],
    [true, { learning: true }],
    [true, { domainRules: transform }],
    [true, { proxy: { address: 'proxy.example:1080' } }],
  ])('is %s for %j', (is, rules) => {
    expect(needsGateway(policyOf(egress(rules)))).toBe(is);
  });
});

describe('firewallRules', () => {
  const of = (rules: Rules) => firewallRules(policyOf(egress(rules)), ['10.0.0.53']);

  it('lets names be resolved if there are any, and only then', () => {
    expect(of(named)).toMatchObject({ gated: true, denyOut: ALL, resolvers: ['8.8.8.8', '10.0.0.53'] });
    expect(of({ allowOut: ['1.1.1.1'], denyOut: ALL })).not.toHaveProperty('resolvers');
  });

  it('denies nothing while it learns', () => {
    expect(of({ ...named, learning: true })).toEqual({ allowOut: [], denyOut: [], gated: true });
  });
});

describe('DirectFlows', () => {
  const flow = (over: Partial<Flow & Pick<EgressVerdict, 'decision'>> = {}) => ({
    ...{ source: '10.64.0.2', destination: '9.9.9.9', protocol: 'udp' as const, port: 53, count: 1 },
    ...{ decision: 'allowed' as const, ...over },
  });

  it('tells what came since the last time, with the rule', () => {
    const flows = new DirectFlows();
    flows.begin('10.64.0.2', owner({ denyOut: ['9.9.9.0/24'] }));
    const take = (...counted: ReturnType<typeof flow>[]) =>
      flows
        .take(counted, 100)
        .map(({ decision, connections, matchType, rule }) => [decision, connections, matchType, rule]);
    expect(take(flow({ decision: 'denied', count: 3 }))).toEqual([['denied', 3, 'cidr', '9.9.9.0/24']]);
    expect(take(flow({ decision: 'denied', count: 3 }))).toEqual([]);
    expect(take(flow({ decision: 'denied', count: 5 }))).toEqual([['denied', 2, 'cidr', '9.9.9.0/24']]);
    // The firewall had forgotten it.
    expect(take(flow({ decision: 'denied', count: 1 }))).toEqual([['denied', 1, 'cidr', '9.9.9.0/24']]);
    expect(take(flow({ destination: '1.1.1.1', count: 1 }))).toEqual([['allowed', 1, 'default', undefined]]);
    expect(take(flow({ destination: '10.0.0.1', decision: 'denied' }))[0]?.[2]).toBe('always-denied');
    expect(take(flow({ destination: '1.1.1.1', decision: 'denied' }))[0]?.[2]).toBe('limit');
    expect(take(flow({ source: '10.64.0.6' }))).toEqual([]);
  });

  it('tells what a sandbox began last, and forgets it then', () => {
    const flows = new DirectFlows();
    flows.begin('10.64.0.2', owner({}));
    flows.end('10.64.0.2');
    expect(flows.take([flow()], 1)).toHaveLength(1);
    expect(flows.size).toBe(0);
  });
});

describe('SandboxEgress', () => {
  const slot: Slot = {
    ...{ index: 0, netns: 'n', hostInterface: 'i', hostAddress: '10.64.0.1' },
    ...{ sandboxAddress: '10.64.0.2', sandboxMac: '02:00:00:00:00:00' },
  };

  function open() {
    const done: string[] = [];
    const rules: EgressRules[] = [];
    const sets: GatedSandbox[] = [];
    let starts = 0;
    let fails = false;
    const gateway = {
      port: 7,
      async set(sandbox: GatedSandbox) {
        done.push('gateway');
        sets.push(sandbox);
      },
      async remove(address: string) {
        done.push(`without ${address}`);
      },
      async close() {},
    } as unknown as EgressGateway;
    const sandboxEgress = new SandboxEgress({
      network: {
        slot: () => slot,
        take: async () => slot,
        discard: () => done.push('discard'),
        async setEgress(_slot, set) {
          done.push('firewall');
          rules.push(set);
        },
        async steerTo(port) {
          done.push(`steer ${port}`);
        },
        flows: async () => ({ allowed: [], denied: [] }),
      },
      async startGateway() {
        starts++;
        if (fails) throw new Error('no gateway');
        return gateway;
      },
      ...{ resolvers: [], verdicts: { record: () => undefined }, now: () => 1 },
      logger: createLogger({ service: 'test', level: 'silent' }),
    });
    return {
      sandboxEgress,
      done,
      rules,
      sets,
      starts: () => starts,
      fail: (is: boolean) => {
        fails = is;
      },
    };
  }

  it('starts the gateway for the first who needs it, and steers to it before anybody is gated', async () => {
    const { sandboxEgress, done, starts } = open();
    await using _ = sandboxEgress;
    await sandboxEgress.setEgress(slot, owner({}));
    expect([starts(), done.splice(0)]).toEqual([0, ['firewall']]);
    await Promise.all([1, 2].map(() => sandboxEgress.setEgress(slot, owner(named))));
    expect(starts()).toBe(1);
    expect(done.slice(0, 2)).toEqual(['steer 7', 'gateway']);
    expect(done.indexOf('gateway')).toBeLessThan(done.indexOf('firewall'));
  });

  it('tells the gateway of what is not gated any more, until the slot is given up', async () => {
    const { sandboxEgress, rules, sets, done } = open();
    await using _ = sandboxEgress;
    await sandboxEgress.setEgress(slot, owner(named));
    await sandboxEgress.setEgress(slot, owner({}));
    expect(rules.map(({ gated }) => gated)).toEqual([true, false]);
    expect(sets.map(({ policy }) => policy.denyOut)).toEqual([ALL, []]);
    sandboxEgress.discard(slot);
    await expect.poll(() => done).toContain('without 10.64.0.2');
    expect(done).toContain('discard');
  });

  it('gates nobody without a gateway: it fails, and the next one tries again', async () => {
    const { sandboxEgress, done, fail } = open();
    await using _ = sandboxEgress;
    fail(true);
    await expect(sandboxEgress.setEgress(slot, owner(named))).rejects.toThrow('no gateway');
    expect(done).toEqual([]);
    // One that was there before is kept from the gateway by that, and Islet is not kept from its start.
    await sandboxEgress.adopt(slot, owner(named));
    expect(done).toEqual([]);
    fail(false);
    await sandboxEgress.setEgress(slot, owner(named));
    expect(done).toContain('firewall');
  });
});
