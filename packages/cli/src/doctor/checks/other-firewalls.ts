import { type CheckResult, ok, warning } from '../check.ts';
import type { Run } from '../run.ts';

const ID = 'other-firewalls';
const TITLE = 'Other firewalls';

/** All addresses that Islet gives to sandboxes. */
const SANDBOXES = '10.64.0.0/10';

/** A table of somebody else's that keeps what is not its own from being forwarded. */
interface OtherFirewall {
  table: string;
  owner: keyof typeof FIXES;
}

/** What lets sandboxes through each, in the place that it keeps for rules of the machine's owner. */
const FIXES = {
  Docker: `iptables -I DOCKER-USER -s ${SANDBOXES} -j ACCEPT; iptables -I DOCKER-USER -d ${SANDBOXES} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT (once after each start of the machine)`,
  firewalld: `firewall-cmd --permanent --zone=trusted --add-source=${SANDBOXES} && firewall-cmd --reload`,
  ufw: `ufw route allow from ${SANDBOXES}`,
  'another program': `accept ${SANDBOXES} as source, and as destination of established connections, in its chain of the forward hook`,
} as const;

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
 * only have no internet.
 */
export function evaluateOtherFirewalls(tables: string | undefined): CheckResult[] {
  if (tables === undefined) return [];
  const found = otherFirewalls(tables);
  if (found.length === 0) return [ok(ID, TITLE, 'none drops what sandboxes send')];
  return [
    warning(ID, TITLE, {
      detail: found
        .map(({ table, owner }) => `${owner} (table ${table}) drops what sandboxes send`)
        .join('; '),
      cause: `no rule there lets ${SANDBOXES} through, so sandboxes have no internet`,
      fix: found.map(({ owner }) => FIXES[owner]).join('; '),
    }),
  ];
}

function otherFirewalls(tables: string): OtherFirewall[] {
  return [...tables.matchAll(/^table (\S+ (\S+)) \{\n([\s\S]*?)^\}/gm)].flatMap(
    ([, table = '', name = '', chains = '']) => {
      const drops = name === 'firewalld' || /hook forward[^;\n]*; policy drop;/.test(chains);
      if (!drops || chains.includes(SANDBOXES)) return [];
      return [{ table, owner: ownerOf(name, chains) }];
    },
  );
}

function ownerOf(name: string, chains: string): OtherFirewall['owner'] {
  if (name === 'firewalld') return 'firewalld';
  if (/^\tchain DOCKER-USER \{/m.test(chains)) return 'Docker';
  if (/^\tchain ufw-/m.test(chains)) return 'ufw';
  return 'another program';
}
