import { describe, expect, it } from 'vitest';
import { evaluateOtherFirewalls, probeOtherFirewalls } from './checks/other-firewalls.ts';
import { runHost } from './run.ts';

/** Runs commands in a network namespace that ends with each, after a script. */
const withRules = (script: string) => (file: string, args: string[]) =>
  runHost('unshare', ['--net', 'sh', '-c', 'nft -f - && exec "$0" "$@"', file, ...args], { input: script });

/** A table with chains, each a name and a body. */
const table = (name: string, chains: Record<string, string>) =>
  `table ${name} {\n${Object.entries(chains)
    .map(([chain, body]) => `chain ${chain} {\n${body}\n}\n`)
    .join('')}}\n`;
const FORWARD = 'type filter hook forward priority filter;';
const docker = (rule: string) =>
  table('ip filter', { 'DOCKER-USER': rule, FORWARD: `${FORWARD} policy drop; jump DOCKER-USER` });

describe.runIf(process.getuid?.() === 0)('a firewall of somebody else, in the kernel', () => {
  it.each([
    ['Docker', docker(''), 'iptables -I DOCKER-USER -s 10.64.0.0/10 -j ACCEPT'],
    [
      'firewalld',
      table('inet firewalld', { filter_FORWARD: `${FORWARD} policy accept; reject` }),
      'firewall-cmd --permanent --zone=trusted --add-source=10.64.0.0/10',
    ],
    [
      'ufw',
      table('ip filter', { 'ufw-user-forward': '', FORWARD: `${FORWARD} policy drop;` }),
      'ufw route allow from 10.64.0.0/10',
    ],
    [
      'another program',
      table('inet mine', { everything: `${FORWARD} policy drop;` }),
      'accept 10.64.0.0/10 as source',
    ],
  ])(
    'that drops what is forwarded is named, with what lets sandboxes through: %s',
    async (owner, rules, fix) => {
      const [result] = evaluateOtherFirewalls(await probeOtherFirewalls(withRules(rules)));
      expect(result).toMatchObject({ status: 'warning', detail: expect.stringContaining(owner) });
      expect(result?.fix).toContain(fix);
    },
  );

  it.each([
    ['lets sandboxes through', docker('ip saddr 10.64.0.0/10 accept')],
    ['is Islet', table('inet islet_abc123', { forward: `${FORWARD} policy drop;` })],
    ['drops nothing', table('ip filter', { FORWARD: `${FORWARD} policy accept;` })],
    [
      'is about other packets',
      table('ip filter', { INPUT: 'type filter hook input priority 0; policy drop;' }),
    ],
  ])('is no trouble if it %s', async (_, rules) => {
    const results = evaluateOtherFirewalls(await probeOtherFirewalls(withRules(rules)));
    expect(results).toMatchObject([{ status: 'ok' }]);
  });
});
