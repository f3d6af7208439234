import type { DriverHost, DriverKind, DriverSite, FoundDriver, SandboxDriver } from '@islet/driver';

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
