/** What control planes share in their database, and look at again and again. */
export type Topic = 'members' | 'standings' | 'templates';

/**
 * Tells control planes that something has changed in the database which they share, so that they look at it at once, and not at their
 * next turn. A notice may be lost, and says nothing of what has changed. Every adapter passes `noticesContract`.
 */
export interface Notices {
  /** Never throws: who does not hear it looks later. */
  tell(topic: Topic): Promise<void>;
  /**
   * The listener is called behind each notice, whoever told it, and when some may have been missed. Gives back the way to end it.
   */
  watch(topic: Topic, listener: () => void): () => void;
}
