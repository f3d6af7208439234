import { type CheckResult, failed, ok } from '../check.ts';
import type { Run } from '../run.ts';

const ID = 'programs';
const TITLE = 'System programs';

/** Program → the package that has it. */
const NEEDED: Record<string, string> = {
  ip: 'iproute2',
  nft: 'nftables',
  mmdebstrap: 'mmdebstrap',
  skopeo: 'skopeo',
  umoci: 'umoci',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  mount: 'mount',
  'mkfs.ext4': 'e2fsprogs',
};

export async function probePrograms(run: Run): Promise<string[]> {
  const { stdout } = await run('sh', [
    ...['-c', 'PATH=$PATH:/usr/sbin:/sbin; for p do command -v "$p" >/dev/null || echo "$p"; done', 'sh'],
    ...Object.keys(NEEDED),
  ]);
  return stdout.split('\n').filter(Boolean);
}

export function evaluatePrograms(missing: string[]): CheckResult {
  if (missing.length === 0) return ok(ID, TITLE, `${Object.keys(NEEDED).join(', ')} are there`);
  const packages = [...new Set(missing.map((program) => NEEDED[program] ?? program))];
  return failed(ID, TITLE, {
    detail: `missing: ${missing.join(', ')}`,
    cause: 'the node and the template builder call them',
    fix: `apt-get install ${packages.join(' ')} (./islet up does it)`,
  });
}
