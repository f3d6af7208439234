import { Sandbox } from 'e2b';
import { until } from '../../setup/until.ts';
import { count, isMissing, resume } from './client.ts';
import { type Cluster, NODES, PARTS, type Way } from './cluster.ts';
import { Broken, type State, statesWithin, type Told, UNKNOWN } from './model.ts';

/** How long a cluster may take to find itself again once all is repaired, ms. */
const RECOVERY_MS = 60_000;

export interface ChecksOptions {
  cluster: Cluster;
  ways: readonly Way[];
  limit: number;
}

/** What has to hold of a cluster in which nothing is broken any more. */
export class Checks {
  readonly #options: ChecksOptions;

  constructor(options: ChecksOptions) {
    this.#options = options;
  }

  /**
   * Waits until every API knows the same, then checks every sandbox that a client was told of.
   * @param unanswered creates that a client has no answer of: so many may be there that nobody knows of
   * @param mayBeOverLimit something that was taken for lost may be back: its place was given away
   * @throws Broken
   */
  async all(
    everyone: readonly Told[],
    { unanswered, mayBeOverLimit }: { unanswered: number; mayBeOverLimit: boolean },
  ): Promise<void> {
    await this.#nothingOnItsWay();
    for (const told of everyone) await this.#settle(told);
    await this.#strangers(everyone, unanswered);
    const running = everyone.filter(({ states }) => states.has('running'));
    while (mayBeOverLimit && running.length > this.#options.limit) await this.#makeRoom(running.splice(0, 1));
    const paused = everyone.filter(({ states }) => states.has('paused'));
    for (const told of running) await this.#content(told);
    if (running.length >= this.#options.limit && paused.length > 0) await this.#makeRoom(running);
    for (const told of paused) await this.#content(told);
    await this.#runsOnce();
  }

  /** The sandboxes that are listed at each API, with their states, once all of them list the same. */
  async listed(): Promise<Map<string, string>> {
    const read = async () => await Promise.all(this.#ways().map(listAll));
    const lists = await until('the APIs list the same', RECOVERY_MS, read, ([first, ...others]) =>
      others.every((other) => sortedText(other) === sortedText(first)),
    );
    return lists[0] ?? new Map();
  }

  /** Ends what is left. @throws Broken if that cannot be asked for */
  async killAll(everyone: readonly Told[]): Promise<void> {
    const [way] = this.#options.ways;
    if (!way) return;
    for (const { id, states } of everyone) {
      await Sandbox.kill(id, way).catch((cause: unknown) => {
        throw new Broken(
          'wrong',
          `${id}, ${[...states]}, cannot be killed while all is well: ${cause}`,
          cause,
        );
      });
    }
  }

  /** One way by each API. */
  #ways(): readonly Way[] {
    const byApi = new Map(this.#options.ways.map((way) => [way.apiUrl, way]));
    return [...byApi.values()];
  }

  /** What was sent before its sender gave up arrives when the cable is back, and not at once: TCP tries ever less often. */
  async #nothingOnItsWay(): Promise<void> {
    const { network } = this.#options.cluster;
    const ask = async () => (await Promise.all(PARTS.map((part) => network.unsentOn(part)))).flat();
    await until('what was sent has arrived', RECOVERY_MS, ask, (found) => found.length === 0);
  }

  /** From here on it is known in which state it is. */
  async #settle(told: Told): Promise<void> {
    let last: (State | 'unknown')[] = [];
    const read = async () => {
      last = ['unknown'];
      last = await Promise.all(this.#ways().map((way) => stateOf(told.id, way)));
      return last;
    };
    const agrees = (states: (State | 'unknown')[]) => {
      const possible = statesWithin(told, { from: Date.now(), to: Date.now() });
      return (
        new Set(states).size === 1 && states.every((state) => state !== 'unknown' && possible.has(state))
      );
    };
    const states = await until(`${told.id} is found`, RECOVERY_MS, read, agrees).catch((cause: unknown) => {
      const wanted = [...told.states].join(' or ');
      const kind = last.includes('gone') ? 'lost' : 'wrong';
      throw new Broken(kind, `${told.id} is ${last.join(', ')}, and should be ${wanted}: ${cause}`, cause);
    });
    told.states = new Set([states[0] as State]);
    told.late = [];
  }

  async #strangers(everyone: readonly Told[], unanswered: number): Promise<void> {
    const listed = await this.listed();
    for (const { id } of everyone) listed.delete(id);
    if (listed.size > unanswered) {
      throw new Broken(
        'left',
        `nobody knows of ${[...listed.keys()]}, and ${unanswered} creates had no answer`,
      );
    }
    const [way] = this.#options.ways;
    for (const id of listed.keys()) if (way) await Sandbox.kill(id, way);
  }

  /** Ends one, so that one that is paused can be looked at. */
  async #makeRoom([told]: readonly Told[]): Promise<void> {
    const [way] = this.#options.ways;
    if (!told || !way) return;
    await Sandbox.kill(told.id, way);
    told.states = new Set(['gone']);
  }

  /** Files and counter are as they were told, through each edge; what was paused is woken for the look. */
  async #content(told: Told): Promise<void> {
    if (told.states.has('gone') || told.isShort) return;
    // Each API and each edge.
    const ways = [this.#options.ways.at(0), this.#options.ways.at(-1)].filter((way) => way !== undefined);
    const wasPaused = told.states.has('paused');
    try {
      for (const way of ways) {
        await resume(told, way);
        await count(told, way);
      }
      const [way] = ways;
      if (!way) return;
      const sandbox = await Sandbox.connect(told.id, { ...way, timeoutMs: 3_000_000 });
      for (const [path, contents] of told.files) {
        const found = (await sandbox.files.exists(path)) ? await sandbox.files.read(path) : '';
        if (!contents.has(found) && !contents.has(UNKNOWN)) {
          throw new Broken('lost', `${path} of ${told.id} holds ${found.length} other characters`);
        }
        told.files.set(path, new Set([found]));
      }
      if (!wasPaused) return;
      await Sandbox.pause(told.id, way);
      told.states = new Set(['paused']);
    } catch (error) {
      if (error instanceof Broken) throw error;
      const where = await this.#placesOf(told.id);
      throw new Broken('wrong', `${told.id}, on ${where}, does not work while all is well: ${error}`, error);
    }
  }

  /** The nodes that have something of it, for people. */
  async #placesOf(id: string): Promise<string> {
    const found = await Promise.all(
      NODES.map(async (node) => {
        const there = (await this.#options.cluster.sandboxesOn(node)).find((each) => each.id === id);
        return there ? [`${node} (${there.runs ? 'runs' : 'paused'})`] : [];
      }),
    );
    return found.flat().join(' and ') || 'no node';
  }

  /** By what the nodes have on their disks, no sandbox runs on two, and no more run than the team may have. */
  async #runsOnce(): Promise<void> {
    const { cluster, limit } = this.#options;
    const read = async () => {
      const found = await Promise.all(NODES.map((node) => cluster.sandboxesOn(node)));
      return found.flat().flatMap(({ id, runs }) => (runs ? [id] : []));
    };
    const once = (ids: string[]) => new Set(ids).size === ids.length;
    const ids = await until('each sandbox runs once', RECOVERY_MS, read, once).catch((cause: unknown) => {
      throw new Broken('twice', String(cause), cause);
    });
    if (ids.length > limit) throw new Broken('limit', `${ids.length} sandboxes run, and ${limit} may`);
  }
}

async function listAll(way: Way): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const pages = Sandbox.list(way);
  while (pages.hasNext)
    for (const { sandboxId, state } of await pages.nextItems()) found.set(sandboxId, state);
  return found;
}

function sortedText(list: Map<string, string> | undefined): string {
  return JSON.stringify([...(list ?? [])].sort());
}

async function stateOf(id: string, way: Way): Promise<State | 'unknown'> {
  try {
    return (await Sandbox.getInfo(id, way)).state;
  } catch (error) {
    return isMissing(error) ? 'gone' : 'unknown';
  }
}
