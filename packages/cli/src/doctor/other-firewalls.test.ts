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
const INPUT = 'type filter hook input priority filter; policy drop;';
const TO_GATEWAY = 'ip saddr 10.64.0.0/10 ip protocol tcp meta mark & 0xffffff00 == 0x69000000 accept';
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
    [
      'ufw',
      table('ip filter', { 'ufw-before-input': '', INPUT: `${INPUT} jump ufw-before-input` }),
      "sed -i '/^# End required lines/a -A ufw-before-input -s 10.64.0.0/10 -p tcp -m mark --mark 0x69000000/0xffffff00 -j ACCEPT' /etc/ufw/before.rules && ufw reload",
    ],
    [
      'another program',
      table('inet mine', { everything: `${INPUT} ip saddr 10.64.0.0/10 tcp dport 22 accept` }),
      'accept TCP from 10.64.0.0/10 with the mark 0x69000000/0xffffff00 in its chain of the input hook',
    ],
  ])(
    'that drops what comes in is named, with what lets gated sandboxes in: %s',
    async (owner, rules, fix) => {
      const results = evaluateOtherFirewalls(await probeOtherFirewalls(withRules(rules)));
      expect(results).toMatchObject([{ status: 'warning', detail: expect.stringContaining(owner), fix }]);
    },
  );

  it('that drops both is named for each, also if it lets one of them through', async () => {
    const forward = `${FORWARD} policy drop;`;
    const found = async (rules: string) =>
      evaluateOtherFirewalls(await probeOtherFirewalls(withRules(rules))).map(({ cause }) => cause);
    const [noInternet, noTcp] = await found(table('ip filter', { INPUT, FORWARD: forward }));
    expect(noInternet).toContain('have no internet');
    expect(noTcp).toContain('reach nothing by TCP');
    const input = `${INPUT} ${TO_GATEWAY}`;
    expect(await found(table('ip filter', { INPUT: input, FORWARD: forward }))).toEqual([noInternet]);
    const through = `${forward} ip saddr 10.64.0.0/10 accept`;
    expect(await found(table('ip filter', { INPUT, FORWARD: through }))).toEqual([noTcp]);
  });

  it.each([
    ['lets sandboxes through', docker('ip saddr 10.64.0.0/10 accept')],
    ['is Islet', table('inet islet_abc123', { forward: `${FORWARD} policy drop;` })],
    ['drops nothing', table('ip filter', { FORWARD: `${FORWARD} policy accept;` })],
    ['lets in what goes to the gateway', table('ip filter', { INPUT: `${INPUT} ${TO_GATEWAY}` })],
    [
      'is about other packets',
      table('ip filter', { OUTPUT: 'type filter hook output priority 0; policy drop;' }),
    ],
  ])('is no trouble if it %s', async (_, rules) => {
    const results = evaluateOtherFirewalls(await probeOtherFirewalls(withRules(rules)));
    expect(results).toMatchObject([{ status: 'ok' }]);
  });
});
