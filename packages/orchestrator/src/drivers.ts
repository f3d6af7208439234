import type { DriverHost, DriverKind, DriverSite, FoundDriver, SandboxDriver } from '@islet/driver';
import { Cgroups } from '@islet/host';

/** The driver of a node's sandboxes. */
export interface ChosenDriver {
  kind: DriverKind;
  found: FoundDriver;
}

/**
 * Chooses how sandboxes are isolated on this host: by the kind that has the name `choice`, or, with `auto`, by the first that fits.
 * @throws Error if the one that was asked for cannot be had.
 */
export async function chooseDriver(
  kinds: readonly DriverKind[],
  choice: string,
  host: DriverHost,
): Promise<ChosenDriver> {
  const named = kinds.find(({ name }) => name === choice);
  if (named) return { kind: named, found: await named.find(host) };
  const names = kinds.map(({ name }) => name).join(', ');
  if (choice !== 'auto') throw new Error(`there is no isolation ${choice}: choose auto or one of ${names}`);
  for (const kind of kinds) {
    const found = await kind.findIfFit(host);
    if (found) return { kind, found };
  }
  throw new Error(`none of ${names} fits this host`);
}

/**
 * What sandboxes together get of a busy processor, for each 1 that anything else on the machine gets. Islet's own threads
 * are among that: what they do for one sandbox must not keep them from the next.
 */
const SANDBOXES_SHARE = 0.2;

/** Has sandboxes give way to what else the machine does; the drivers' cgroups are below the one that this weighs. */
export async function weighSandboxes({ instance, logger }: DriverSite): Promise<void> {
  await new Cgroups()
    .weigh(`islet-${instance}`, SANDBOXES_SHARE)
    .catch((err: unknown) => logger.warn({ err }, 'sandboxes compete with Islet for processors as equals'));
}

export interface Drivers {
  /** Of the sandboxes. */
  sandboxes: SandboxDriver;
  /** Of builds, whose machines write into directories of the host. */
  builds: SandboxDriver;
  close(): Promise<void>;
}

/** Opens the drivers of a node: the chosen one, and the first that builds can use if that is another. */
export async function openDrivers(
  kinds: readonly DriverKind[],
  { kind, found }: ChosenDriver,
  site: DriverSite,
): Promise<Drivers> {
  if (kind.writesLayers) {
    const driver = await found.open(site);
    return { sandboxes: driver, builds: driver, close: () => driver.close() };
  }
  const builder = kinds.find(({ writesLayers }) => writesLayers);
  if (!builder) throw new Error(`no driver beside ${kind.name} can run the steps of builds`);
  const builds = await (await builder.find(site)).open(site);
  try {
    const sandboxes = await found.open(site);
    return {
      sandboxes,
      builds,
      async close() {
        await sandboxes.close();
        await builds.close();
      },
    };
  } catch (error) {
    await builds.close();
    throw error;
  }
}
