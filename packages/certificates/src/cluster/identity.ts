import { randomUUID } from 'node:crypto';

export const ROLES = ['api', 'edge', 'node'] as const;

/** What a member of a cluster is there for. */
export type Role = (typeof ROLES)[number];

/** Who somebody is in a cluster, as the cluster's authority has it in their certificate. */
export interface Identity {
  role: Role;
  /** Unique among those of the role: what rows call a node. */
  name: string;
  /** A UUID. Of one that left, and of one that came under the same name later, they differ. */
  memberId: string;
}

/** A role with a name, new in the cluster. */
export function newIdentity(role: Role, name: string): Identity {
  return { role, name, memberId: randomUUID() };
}

const NAME = /^[A-Za-z0-9._-]{1,64}$/;
const URI = /^islet:(api|edge|node):([A-Za-z0-9._-]{1,64}):([0-9a-f-]{36})$/;

export function isMemberName(text: string): boolean {
  return NAME.test(text);
}

/** As it stands in a certificate. */
export function identityUri({ role, name, memberId }: Identity): string {
  const uri = `islet:${role}:${name}:${memberId}`;
  if (!URI.test(uri)) throw new TypeError(`${JSON.stringify(name)} cannot be the name of a member`);
  return uri;
}

/** @param alternativeNames as Node.js has them: `URI:islet:node:one:…`; the identity is the only one */
export function identityIn(alternativeNames: string | undefined): Identity | undefined {
  const [, role, name = '', memberId = ''] = URI.exec(alternativeNames?.replace(/^URI:/, '') ?? '') ?? [];
  const known = ROLES.find((each) => each === role);
  return known && { role: known, name, memberId };
}
