import { type CapabilityName, RIGHTS } from '../../host/rights.ts';
import { type CheckResult, failed, ok } from '../check.ts';
import { type Capability, type Confinement, capability, hasCapability } from '../confinement.ts';

const ID = 'capabilities';
const TITLE = 'Privileges';

/** Without these all goes on, with a drawback. */
const DISPENSABLE: readonly CapabilityName[] = [
  'net_bind_service',
  'sys_nice',
  'sys_resource',
  'audit_write',
];

/** What sandboxes cannot be without; every one of them is root's. */
const NEEDED: readonly Capability[] = (Object.keys(RIGHTS.up) as CapabilityName[])
  .filter((name) => !DISPENSABLE.includes(name))
  .map(capability);

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
