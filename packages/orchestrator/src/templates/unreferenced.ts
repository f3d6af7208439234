import type { SnapshotStore } from '@islet/snapshots';

/**
 * Removes saved states that a killed process left without anything that refers to them: put and not yet written down, or written off
 * and not yet deleted. For a store that has the states of this node alone.
 */
export async function removeUnreferenced(
  snapshots: SnapshotStore,
  builds: Iterable<{ snapshot: string }>,
  sandboxes: Iterable<{ saved: string | undefined }>,
): Promise<void> {
  const referenced = new Set<string | undefined>();
  for (const { snapshot } of builds) referenced.add(snapshot);
  for (const { saved } of sandboxes) referenced.add(saved);
  for (const { digest } of await snapshots.list()) {
    if (!referenced.has(digest)) await snapshots.delete(digest);
  }
}
