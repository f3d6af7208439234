import type { Administration } from '../control/administration.ts';
import { openInstallation } from '../control/open.ts';
import { OPTIONS, type OptionName } from '../options/options.ts';
import { type OptionSources, readOption, requireOption } from '../options/spec.ts';
import type { CommandIo } from './io.ts';

/** What says which installation is meant. */
export const INSTALLATION_OPTIONS: readonly OptionName[] = ['dataDir', 'databaseUrl'];

/** Opens the installation that the options name for the time of one call. */
export async function withInstallation<T>(
  io: CommandIo,
  sources: OptionSources,
  use: (administration: Administration) => Promise<T>,
): Promise<T> {
  await using installation = await openInstallation({
    dataDir: requireOption(OPTIONS.dataDir, sources),
    databaseUrl: readOption(OPTIONS.databaseUrl, sources),
    migrationsDir: io.layout().migrationsDir,
  });
  return await use(installation.administration);
}
