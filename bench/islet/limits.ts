import { type InstanceAccess, islet } from '../../e2e/setup/instance.ts';

const TEAM = 'local-dev-team';
/** More than any row has at once. */
const SANDBOXES = 300;

/** Lets the team of the benchmark have more sandboxes at once than a team may by default, from now on. */
export async function allowMany({ dataDir }: InstanceAccess): Promise<void> {
  await islet('teams', 'limit', TEAM, '--sandboxes', `${SANDBOXES}`, '--data-dir', dataDir);
}
