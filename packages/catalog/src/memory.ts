import { type Catalog, type CatalogEntry, compareNewestFirst, type Position, positionOf } from './catalog.ts';

interface Row {
  position: Position;
  entry: CatalogEntry;
}

/** The first index whose row does not come before the position. */
function search(rows: Row[], position: Position): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const row = rows[middle];
    if (row && compareNewestFirst(row.position, position) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The embedded adapter: a map by sandbox, and each team's rows in the order of its list. */
export function createMemoryCatalog(): Catalog {
  const entries = new Map<string, Row & { teamId: string }>();
  const teams = new Map<string, Row[]>();

  const forget = (sandboxId: string) => {
    const known = entries.get(sandboxId);
    if (!known) return;
    entries.delete(sandboxId);
    const rows = teams.get(known.teamId) ?? [];
    rows.splice(search(rows, known.position), 1);
    if (rows.length === 0) teams.delete(known.teamId);
  };

  return {
    async get(sandboxId) {
      return entries.get(sandboxId)?.entry;
    },
    async listTeam(teamId) {
      return (teams.get(teamId) ?? []).map(({ entry }) => entry);
    },
    async listAll() {
      return Array.from(entries.values(), ({ entry }) => entry);
    },
    async put(entry) {
      const config = entry.sandbox.config;
      if (!config) throw new TypeError('a catalog entry needs its sandbox config');
      const { sandboxId, teamId } = config;
      forget(sandboxId);
      const row = { position: positionOf(entry.sandbox), entry };
      entries.set(sandboxId, { ...row, teamId });
      const rows = teams.get(teamId) ?? [];
      rows.splice(search(rows, row.position), 0, row);
      teams.set(teamId, rows);
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
