import type { Sandbox } from '@islet/contracts';
import { compareNewestFirst, type Position, positionOf } from './live.ts';
import { type Order, OrderedSandboxes } from './ordered-sandboxes.ts';
import { publicState } from './present.ts';

/** What clients call a state; `hidden`: they are not told of it. */
type Shown = 'running' | 'paused' | 'hidden';

/** One team's sandboxes by what its clients are told of them. */
class TeamSandboxes {
  readonly #shown = {
    running: new OrderedSandboxes(),
    paused: new OrderedSandboxes(),
    hidden: new OrderedSandboxes(),
  } satisfies Record<Shown, OrderedSandboxes>;

  in(shown: Shown): OrderedSandboxes {
    return this.#shown[shown];
  }

  get isEmpty(): boolean {
    return Object.values(this.#shown).every(({ size }) => size === 0);
  }
}

/** A part of a team's list. */
export interface TeamPage {
  states: readonly ('running' | 'paused')[];
  order: Order;
  /** Of the last one before; undefined: from the beginning. */
  after: Position | undefined;
  /** At most so many. */
  count: number;
}

interface Known {
  sandbox: Sandbox;
  position: Position;
  shown: Shown;
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
  readonly #known = new Map<string, Known>();
  readonly #teams = new Map<string, TeamSandboxes>();
  readonly #nodes = new Groups();
  readonly #templates = new Groups();
  /** Ids of those that are being moved. */
  readonly #moving = new Set<string>();
  /** Access tokens, by sandbox: of those that ask for one. */
  readonly #tokens = new Map<string, string>();

  get(sandboxId: string): Sandbox | undefined {
    return this.#known.get(sandboxId)?.sandbox;
  }

  /** All, in no order. */
  *all(): Generator<Sandbox> {
    for (const { sandbox } of this.#known.values()) yield sandbox;
  }

  /** In the order of `compareNewestFirst`. */
  ofTeam(teamId: string): Sandbox[] {
    const team = this.#teams.get(teamId);
    if (!team) return [];
    const all = (['running', 'paused', 'hidden'] as const).map((shown) => team.in(shown).all());
    return merged(all, 'desc');
  }

  /** Looks at no more than what it gives, however many there are. */
  pageOfTeam(teamId: string, { states, order, after, count }: TeamPage): Sandbox[] {
    const team = this.#teams.get(teamId);
    if (!team) return [];
    return merged(
      states.map((state) => team.in(state).take(count, order, after)),
      order,
    ).slice(0, count);
  }

  /** How many of a team's run, as its clients are told. */
  runningOfTeam(teamId: string): number {
    return this.#teams.get(teamId)?.in('running').size ?? 0;
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
    const shown = publicState(sandbox) ?? 'hidden';
    this.#known.set(sandboxId, { sandbox, position, shown });
    const team = this.#teams.get(teamId) ?? new TeamSandboxes();
    team.in(shown).add(sandbox, position);
    this.#teams.set(teamId, team);
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
    const { sandbox, position, shown } = known;
    this.#known.delete(sandboxId);
    this.#moving.delete(sandboxId);
    this.#nodes.delete(sandbox.nodeId, sandboxId);
    this.#templates.delete(sandbox.config.templateId, sandboxId);
    const team = this.#teams.get(sandbox.config.teamId);
    team?.in(shown).remove(position);
    if (team?.isEmpty) this.#teams.delete(sandbox.config.teamId);
  }
}

/** Lists that are in order, as one. */
function merged(lists: readonly Sandbox[][], order: Order): Sandbox[] {
  const filled = lists.filter(({ length }) => length > 0);
  const [first] = filled;
  if (!first || filled.length === 1) return first ?? [];
  const sign = order === 'desc' ? 1 : -1;
  // Sorting finds the runs that are in order, and merges them.
  return filled.flat().sort((a, b) => sign * compareNewestFirst(positionOf(a), positionOf(b)));
}
