import { type CheckResult, failed, ok } from '../check.ts';
import { CAPABILITY_BITS, type Capability, type Confinement, hasCapability } from '../confinement.ts';

const ID = 'capabilities';
const TITLE = 'Privileges';

/** All that the orchestrator uses; every one of them is root's. */
const NEEDED = Object.keys(CAPABILITY_BITS) as Capability[];

export function evaluateCapabilities(confinement: Confinement): CheckResult {
  const missing = NEEDED.filter((name) => !hasCapability(confinement.effective, name));
  if (missing.length === 0)
    return ok(ID, TITLE, `uid ${confinement.uid} with every capability that is needed`);
  const dropped = missing.filter((name) => !hasCapability(confinement.bounding, name));
  const detail = `missing ${missing.join(', ')}`;
  if (dropped.length === 0) {
    return failed(ID, TITLE, {
      detail,
      cause: `this runs as uid ${confinement.uid}, which does not have them`,
      fix: 'run it as root: sudo ./islet doctor',
    });
  }
  return failed(ID, TITLE, {
    detail,
    cause: `the container or service that this runs in has dropped ${dropped.join(', ')}`,
    fix: `docker run --privileged …, or ${dropped.map((name) => `--cap-add ${name.slice(4)}`).join(' ')}`,
  });
}
