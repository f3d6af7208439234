import { type Database, forgetMoves, movedFrom } from '@islet/db';
import type { Logger } from '@islet/telemetry';

/** Which sandboxes were moved away from nodes that have not freed them yet, as the database has it. */
export class Moves {
  readonly #db: Database;
  readonly #logger: Logger;

  constructor(db: Database, logger: Logger) {
    this.#db = db;
    this.#logger = logger;
  }

  /**
   * Ids of sandboxes that were moved away from a node. None while the database does not answer: what the node tells is taken as it
   * is then, and it is asked to go on with nothing, since that takes a claim in the database.
   */
  async from(nodeId: string): Promise<string[]> {
    try {
      return await movedFrom(this.#db, nodeId);
    } catch (error) {
      this.#logger.warn({ err: error, nodeId }, 'it is not known what was moved away from a node');
      return [];
    }
  }

  /** A node has nothing of them any more. What cannot be written down is found again by its next report. */
  async freed(nodeId: string, sandboxIds: readonly string[]): Promise<void> {
    try {
      await forgetMoves(this.#db, nodeId, sandboxIds);
    } catch (error) {
      this.#logger.warn({ err: error, nodeId }, 'it was not written down what a node has freed');
    }
  }
}
