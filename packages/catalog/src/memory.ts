import {
  type Catalog,
  type CatalogChange,
  type CatalogEntry,
  compareNewestFirst,
  type Followable,
  type Position,
  positionOf,
} from './catalog.ts';

/** One team's entries in the order of its list; the positions stand beside them, so that a list is a plain copy. */
interface TeamRows {
  entries: CatalogEntry[];
  positions: Position[];
}

/** The first index whose position does not come before the given one. */
function search(positions: Position[], position: Position): number {
  let low = 0;
  let high = positions.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = positions[middle];
    if (other && compareNewestFirst(other, position) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The embedded adapter: a map by sandbox, and each team's rows in the order of its list. */
export function createMemoryCatalog(): Catalog & Followable {
  const known = new Map<string, { entry: CatalogEntry; position: Position; teamId: string }>();
  const teams = new Map<string, TeamRows>();
  const listeners = new Set<(change: CatalogChange) => void>();
  const tell = (change: CatalogChange) => {
    for (const listener of listeners) listener(change);
  };

  const forget = (sandboxId: string) => {
    const row = known.get(sandboxId);
    const rows = row && teams.get(row.teamId);
    if (!row || !rows) return;
    known.delete(sandboxId);
    const index = search(rows.positions, row.position);
    rows.positions.splice(index, 1);
    rows.entries.splice(index, 1);
    if (rows.entries.length === 0) teams.delete(row.teamId);
  };

  return {
    async get(sandboxId) {
      return known.get(sandboxId)?.entry;
    },
    async listTeam(teamId) {
      return teams.get(teamId)?.entries.slice() ?? [];
    },
    async listAll() {
      return Array.from(known.values(), ({ entry }) => entry);
    },
    async put(entry) {
      const config = entry.sandbox.config;
      if (!config) throw new TypeError('a catalog entry needs its sandbox config');
      const { sandboxId, teamId } = config;
      const before = known.get(sandboxId)?.entry.sandbox;
      if (before && before.revision > entry.sandbox.revision) return false;
      forget(sandboxId);
      const position = positionOf(entry.sandbox);
      known.set(sandboxId, { entry, position, teamId });
      const rows = teams.get(teamId) ?? { entries: [], positions: [] };
      const index = search(rows.positions, position);
      rows.positions.splice(index, 0, position);
      rows.entries.splice(index, 0, entry);
      teams.set(teamId, rows);
      tell({ kind: 'put', entry });
      return true;
    },
    async remove(sandboxId) {
      if (!known.has(sandboxId)) return;
      forget(sandboxId);
      tell({ kind: 'remove', sandboxId });
    },
    async close() {
      known.clear();
      teams.clear();
      listeners.clear();
    },
    follow(listener) {
      for (const { entry } of known.values()) listener({ kind: 'put', entry });
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
