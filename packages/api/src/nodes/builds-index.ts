/** Which nodes have which builds, as far as is known: a node that has more says so when it is asked to start one. */
export class BuildsIndex<N> {
  readonly #holders = new Map<string, N[]>();

  /** Nodes that have a build, in no order. */
  holders(buildId: string): readonly N[] {
    return this.#holders.get(buildId) ?? [];
  }

  add(buildId: string, node: N): void {
    const holders = this.#holders.get(buildId) ?? [];
    if (!holders.includes(node)) holders.push(node);
    this.#holders.set(buildId, holders);
  }

  /** Makes these the builds of a node, and no others. */
  set(node: N, buildIds: readonly string[]): void {
    this.drop(node);
    for (const buildId of buildIds) this.add(buildId, node);
  }

  /** A build is deleted everywhere. */
  remove(buildId: string): void {
    this.#holders.delete(buildId);
  }

  /** Forgets a node. */
  drop(node: N): void {
    for (const [buildId, holders] of this.#holders) {
      const left = holders.filter((holder) => holder !== node);
      if (left.length > 0) this.#holders.set(buildId, left);
      else this.#holders.delete(buildId);
    }
  }
}
