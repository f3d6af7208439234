import { type CheckResult, failed, ok } from '../check.ts';
import { type Confinement, hasCapability } from '../confinement.ts';
import { explainDenial } from '../denial.ts';
import type { Run, RunResult } from '../run.ts';

const ID = 'nftables';
const TITLE = 'Firewall (nftables)';
const PROBE_NEEDS = ['CAP_SYS_ADMIN', 'CAP_NET_ADMIN'] as const;

/** What sandboxes' networks use: connection tracking, sets of ranges, address translation. */
const RULES = `
table inet islet_doctor {
  set denied { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 } }
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    ip daddr @denied drop
  }
}
table ip islet_doctor_nat {
  chain postrouting {
    type nat hook postrouting priority 100;
    ip saddr 10.0.0.0/8 masquerade
  }
}
`;

/** Loads rules into a network namespace that ends with the probe. */
export function probeNftables(run: Run): Promise<RunResult> {
  return run('unshare', ['--net', 'nft', '--file', '-'], { input: RULES });
}

export function evaluateNftables(result: RunResult, confinement: Confinement): CheckResult {
  if (result.code === 0) return ok(ID, TITLE, 'filtering, connection tracking and address translation work');
  const error = result.stderr.trim();
  if (/No such file or directory|ENOENT/.test(error) && /nft/.test(error) && result.code !== 1) {
    return failed(ID, TITLE, {
      detail: error,
      cause: 'no folder of PATH has nft: it is not installed, or it is elsewhere',
      fix: 'apt-get install nftables; or add the folder of nft to PATH',
    });
  }
  // The probe needs one capability for its namespace, and another for the rules in it.
  const needs = /^unshare: unshare failed/.test(error) ? PROBE_NEEDS : PROBE_NEEDS.slice(1);
  const missing = needs.find((name) => !hasCapability(confinement.effective, name));
  if (missing) {
    return failed(ID, TITLE, { detail: error, ...explainDenial(confinement, missing) });
  }
  return failed(ID, TITLE, {
    detail: error,
    cause: 'the kernel lacks nf_tables, or a module of it (nft_ct, nft_masq, nf_nat)',
    fix: 'modprobe -a nf_tables nft_ct nft_masq nf_nat; or install the linux-modules-extra package of this kernel',
  });
}
