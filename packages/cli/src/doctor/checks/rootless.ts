import { idsOfNamespace } from '@islet/host';
import { type RootlessFacts, rootlessTroubles } from '../../rootless/requirements.ts';
import { type CheckResult, failed, ok } from '../check.ts';

const ID = 'rootless';
const TITLE = 'Without root';

/**
 * Nothing for root of the machine.
 * @param facts of an ordinary user; undefined for root
 * @param ids of the user namespace that this is in
 */
export function evaluateRootless(facts: RootlessFacts | undefined, ids = idsOfNamespace()): CheckResult[] {
  if (facts) return rootlessTroubles(facts).map((trouble) => failed(ID, TITLE, trouble));
  if (ids === undefined) return [];
  return [
    ok(ID, TITLE, `root of namespaces of its own, with ${ids} ids: docs/rootless.md says what differs`),
  ];
}
