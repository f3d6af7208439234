/**
 * What a store of routes and reservations still holds. One that is a server of its own may come back with less than was
 * written to it, or with nothing.
 */
export interface StoreContents {
  /**
   * Has `rewrite` write all that this control plane knows: now, and again whenever the store may have lost something, until
   * it is disposed of. Until that is done nobody is given a place, and nobody is told that a route is not there.
   * @param rewrite is called again if it throws
   */
  keep(rewrite: () => Promise<void>): KeptContents;
}

export interface KeptContents extends AsyncDisposable {
  /** Resolves when all was written, and places are given out, for the first time. */
  first: Promise<void>;
}
