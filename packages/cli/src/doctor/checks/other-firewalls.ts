import { type CheckResult, ok, warning } from '../check.ts';
import type { Run } from '../run.ts';

const ID = 'other-firewalls';
const TITLE = 'Other firewalls';

/** All addresses that Islet gives to sandboxes. */
const SANDBOXES = '10.64.0.0/10';

/** What packets bear that are on their way to the gateway, of any Islet of the machine; see `steering.ts` of packages/network. */
const TO_GATEWAY = '0x69000000/0xffffff00';

/** Whose a table is. */
type Owner = 'Docker' | 'firewalld' | 'ufw' | 'another program';

/** A table of somebody else's that drops what is not its own. */
interface OtherFirewall {
  table: string;
  owner: Owner;
}

/** What lets sandboxes through each, in the place that it keeps for rules of the machine's owner. */
const FORWARD_FIXES: Record<Owner, string> = {
  Docker: `iptables -I DOCKER-USER -s ${SANDBOXES} -j ACCEPT; iptables -I DOCKER-USER -d ${SANDBOXES} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT (once after each start of the machine)`,
  firewalld: `firewall-cmd --permanent --zone=trusted --add-source=${SANDBOXES} && firewall-cmd --reload`,
  ufw: `ufw route allow from ${SANDBOXES}`,
  'another program': `accept ${SANDBOXES} as source, and as destination of established connections, in its chain of the forward hook`,
};

const INPUT_RULE = `-s ${SANDBOXES} -p tcp -m mark --mark ${TO_GATEWAY} -j ACCEPT`;
/**
 * What lets through what is steered to the gateway. It is for addresses of the internet and comes in all the same, which ufw drops before
 * it looks at the rules that its commands make.
 */
const INPUT_FIXES: Record<Owner, string> = {
  Docker: `iptables -I INPUT ${INPUT_RULE} (once after each start of the machine)`,
  firewalld: FORWARD_FIXES.firewalld,
  ufw: `sed -i '/^# End required lines/a -A ufw-before-input ${INPUT_RULE}' /etc/ufw/before.rules && ufw reload`,
  'another program': `accept TCP from ${SANDBOXES} with the mark ${TO_GATEWAY} in its chain of the input hook`,
};

/** Tables of the kernel that are not Islet's, as nft prints them; undefined if it fails, which the check of nftables reports. */
export async function probeOtherFirewalls(run: Run): Promise<string | undefined> {
  const { code, stdout } = await run('nft', ['list', 'tables']);
  if (code !== 0) return undefined;
  const others = [...stdout.matchAll(/^table (\S+) (\S+)$/gm)].filter(
    ([, , name]) => !name?.startsWith('islet_'),
  );
  const tables = others.map(([, family = '', name = '']) => run('nft', ['list', 'table', family, name]));
  return (await Promise.all(tables)).map((listed) => listed.stdout).join('\n');
}

/**
 * A packet has to pass every table, so what Islet accepts may be dropped by another. Sandboxes start and answer all the same: they
 * only do not reach the internet, those with rules not by TCP.
 */
export function evaluateOtherFirewalls(tables: string | undefined): CheckResult[] {
  if (tables === undefined) return [];
  const forwarded = otherFirewalls(tables, 'forward');
  const input = otherFirewalls(tables, 'input');
  const results = [
    ...told(forwarded, FORWARD_FIXES, {
      drops: 'drops what sandboxes send',
      cause: `no rule there lets ${SANDBOXES} through, so sandboxes have no internet`,
    }),
    ...told(input, INPUT_FIXES, {
      drops: 'drops what sandboxes with rules for their network send by TCP',
      cause: `no rule there lets what goes to the gateway come in from ${SANDBOXES}, so sandboxes with rules reach nothing by TCP`,
    }),
  ];
  return results.length > 0 ? results : [ok(ID, TITLE, 'none drops what sandboxes send')];
}

function told(
  found: readonly OtherFirewall[],
  fixes: Record<Owner, string>,
  { drops, cause }: { drops: string; cause: string },
): CheckResult[] {
  if (found.length === 0) return [];
  const detail = found.map(({ table, owner }) => `${owner} (table ${table}) ${drops}`).join('; ');
  return [warning(ID, TITLE, { detail, cause, fix: found.map(({ owner }) => fixes[owner]).join('; ') })];
}

function otherFirewalls(tables: string, hook: 'forward' | 'input'): OtherFirewall[] {
  const drop = new RegExp(`hook ${hook}[^;\\n]*; policy drop;`);
  return [...tables.matchAll(/^table (\S+ (\S+)) \{\n([\s\S]*?)^\}/gm)].flatMap(
    ([, table = '', name = '', chains = '']) => {
      const drops = name === 'firewalld' || drop.test(chains);
      if (!drops || letsThrough(chains, name, hook)) return [];
      return [{ table, owner: ownerOf(name, chains) }];
    },
  );
}

/** A zone of firewalld lets in and through; elsewhere a rule is about one of both. */
function letsThrough(chains: string, name: string, hook: 'forward' | 'input'): boolean {
  const lines = chains.split('\n').filter((line) => line.includes(SANDBOXES));
  if (name === 'firewalld') return lines.length > 0;
  const isOfGateway = (line: string) => /\bmark\b.*\baccept$/.test(line);
  return hook === 'input' ? lines.some(isOfGateway) : lines.some((line) => !isOfGateway(line));
}

function ownerOf(name: string, chains: string): Owner {
  if (name === 'firewalld') return 'firewalld';
  if (/^\tchain DOCKER-USER \{/m.test(chains)) return 'Docker';
  if (/^\tchain ufw-/m.test(chains)) return 'ufw';
  return 'another program';
}
