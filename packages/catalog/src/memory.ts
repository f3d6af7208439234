import type { Catalog, CatalogEntry } from './catalog.ts';

/** The embedded adapter: a map by sandbox, and one of ids by team so that a team's list does not read the others'. */
export function createMemoryCatalog(): Catalog {
  const entries = new Map<string, CatalogEntry>();
  const teams = new Map<string, Set<string>>();

  const forget = (sandboxId: string) => {
    const teamId = entries.get(sandboxId)?.sandbox.config?.teamId;
    entries.delete(sandboxId);
    if (teamId === undefined) return;
    const ids = teams.get(teamId);
    ids?.delete(sandboxId);
    if (ids?.size === 0) teams.delete(teamId);
  };

  return {
    async get(sandboxId) {
      return entries.get(sandboxId);
    },
    async listTeam(teamId) {
      return [...(teams.get(teamId) ?? [])].flatMap((id) => entries.get(id) ?? []);
    },
    async listAll() {
      return [...entries.values()];
    },
    async put(entry) {
      const config = entry.sandbox.config;
      if (!config) throw new TypeError('a catalog entry needs its sandbox config');
      forget(config.sandboxId);
      entries.set(config.sandboxId, entry);
      const ids = teams.get(config.teamId) ?? new Set();
      teams.set(config.teamId, ids.add(config.sandboxId));
    },
    async remove(sandboxId) {
      forget(sandboxId);
    },
    async close() {
      entries.clear();
      teams.clear();
    },
  };
}
