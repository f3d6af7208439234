import type { Sandbox } from '@islet/contracts';
import { compareNewestFirst, type Position, positionOf } from './live.ts';

/** One team's sandboxes in the order of its list; the positions stand beside them, so that a list is a plain copy. */
interface TeamRows {
  sandboxes: Sandbox[];
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

/** Sandboxes by something that each has one of. */
class Groups {
  readonly #groups = new Map<string, Map<string, Sandbox>>();

  of(key: string): Iterable<Sandbox> {
    return this.#groups.get(key)?.values() ?? [];
  }

  add(key: string, sandbox: Sandbox): void {
    const group = this.#groups.get(key) ?? new Map<string, Sandbox>();
    this.#groups.set(key, group.set(sandbox.config.sandboxId, sandbox));
  }

  delete(key: string, sandboxId: string): void {
    const group = this.#groups.get(key);
    group?.delete(sandboxId);
    if (group?.size === 0) this.#groups.delete(key);
  }
}

/**
 * What this control plane knows of sandboxes: what their nodes have told. Each question is answered without a look at
 * those that it is not about.
 */
export class KnownSandboxes {
  readonly #known = new Map<string, { sandbox: Sandbox; position: Position }>();
  readonly #teams = new Map<string, TeamRows>();
  readonly #nodes = new Groups();
  readonly #templates = new Groups();
  /** Ids of those that are being moved. */
  readonly #moving = new Set<string>();
  /** Access tokens, by sandbox: of those that ask for one. */
  readonly #tokens = new Map<string, string>();

  get(sandboxId: string): Sandbox | undefined {
    return this.#known.get(sandboxId)?.sandbox;
  }

  /** In the order of `compareNewestFirst`, so that a page of thousands needs no sorting. */
  ofTeam(teamId: string): Sandbox[] {
    return this.#teams.get(teamId)?.sandboxes.slice() ?? [];
  }

  /** In no order. */
  onNode(nodeId: string): Sandbox[] {
    return [...this.#nodes.of(nodeId)];
  }

  /** One that was made from the template, whichever team's. */
  anyOf(templateId: string): Sandbox | undefined {
    for (const sandbox of this.#templates.of(templateId)) return sandbox;
    return undefined;
  }

  /** Sandboxes that ask for an access token, with their tokens; the newest ones last. */
  tokens(): [sandboxId: string, token: string][] {
    return [...this.#tokens];
  }

  /** Those that are stopped to be moved to another node. */
  moving(): Sandbox[] {
    return [...this.#moving].flatMap((id) => this.get(id) ?? []);
  }

  /** Enters what is known of a sandbox now. False if a later revision of it is there already: that one stays. */
  put(sandbox: Sandbox): boolean {
    const { sandboxId, teamId, templateId, envdAccessToken } = sandbox.config;
    const before = this.get(sandboxId);
    if (before && before.revision > sandbox.revision) return false;
    this.#forget(sandboxId);
    const position = positionOf(sandbox);
    this.#known.set(sandboxId, { sandbox, position });
    const rows = this.#teams.get(teamId) ?? { sandboxes: [], positions: [] };
    const index = search(rows.positions, position);
    rows.positions.splice(index, 0, position);
    rows.sandboxes.splice(index, 0, sandbox);
    this.#teams.set(teamId, rows);
    this.#nodes.add(sandbox.nodeId, sandbox);
    this.#templates.add(templateId, sandbox);
    if (sandbox.moving) this.#moving.add(sandboxId);
    if (envdAccessToken !== undefined) this.#tokens.set(sandboxId, envdAccessToken);
    return true;
  }

  remove(sandboxId: string): void {
    this.#forget(sandboxId);
    this.#tokens.delete(sandboxId);
  }

  #forget(sandboxId: string): void {
    const known = this.#known.get(sandboxId);
    if (!known) return;
    const { sandbox, position } = known;
    this.#known.delete(sandboxId);
    this.#moving.delete(sandboxId);
    this.#nodes.delete(sandbox.nodeId, sandboxId);
    this.#templates.delete(sandbox.config.templateId, sandboxId);
    const rows = this.#teams.get(sandbox.config.teamId);
    if (!rows) return;
    const index = search(rows.positions, position);
    rows.positions.splice(index, 1);
    rows.sandboxes.splice(index, 1);
    if (rows.sandboxes.length === 0) this.#teams.delete(sandbox.config.teamId);
  }
}
