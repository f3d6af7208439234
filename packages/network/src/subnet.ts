import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Exec, isAlive, type ProcessRef, refProcess } from '@islet/host';
import { chooseBlock, interfacePrefix, overlaps, type Subnet } from './addresses.ts';

interface Claim {
  instance: string;
  block: number;
  owner: ProcessRef;
}

/** A block of addresses that no other Islet on this host uses. */
export interface ClaimedSubnet {
  subnet: Subnet;
  release(): Promise<void>;
}

/**
 * Claims a block for an instance: none that a route of the host covers or that a living Islet claimed.
 * Claims are files, so they are exclusive; one whose owner is dead counts for nothing.
 */
export async function claimSubnet(instance: string, claimsDir: string, exec: Exec): Promise<ClaimedSubnet> {
  const self = refProcess(process.pid);
  if (!self) throw new Error('/proc is not mounted');
  await mkdir(claimsDir, { recursive: true });
  for (let attempt = 0; attempt < 10; attempt++) {
    const claims = await readClaims(claimsDir);
    const routes = await foreignRoutes(instance, exec);
    const subnet = chooseBlock(
      instance,
      (candidate) =>
        claims.some(
          (claim) => claim.block === candidate.block && claim.instance !== instance && isAlive(claim.owner),
        ) || routes.some((route) => overlaps(route, candidate.cidr)),
    );
    const file = join(claimsDir, `${subnet.block}.json`);
    const holder = claims.find((claim) => claim.block === subnet.block);
    if (holder) await rm(file, { force: true });
    const claim: Claim = { instance, block: subnet.block, owner: self };
    try {
      await writeFile(file, JSON.stringify(claim), { flag: 'wx' });
      return { subnet, release: () => rm(file, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  throw new Error(`other Islets on this host keep taking address blocks in ${claimsDir}`);
}

async function readClaims(dir: string): Promise<Claim[]> {
  const files = (await readdir(dir)).filter((name) => name.endsWith('.json'));
  const claims = await Promise.all(
    files.map(async (name) => {
      try {
        return [JSON.parse(await readFile(join(dir, name), 'utf8')) as Claim];
      } catch {
        return []; // being written or just removed: taking it for free is settled by the exclusive create
      }
    }),
  );
  return claims.flat();
}

/** Destinations of the host's IPv4 routes, without the default route and without this instance's own. */
async function foreignRoutes(instance: string, exec: Exec): Promise<string[]> {
  const routes = JSON.parse(await exec('ip', ['-json', '-4', 'route', 'show', 'table', 'all'])) as {
    dst: string;
    dev?: string;
    type?: string;
  }[];
  return routes
    .filter((route) => /^\d/.test(route.dst) && !route.dev?.startsWith(interfacePrefix(instance)))
    .map((route) => route.dst);
}
