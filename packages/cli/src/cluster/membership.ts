import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { closeSecret, damagedSecret, keepSecret, openSecrets, readSecret } from '../host/secrets.ts';

const Pem = Type.String({ maxLength: 8_192 });
const Text = Type.String({ maxLength: 256 });

const Membership = Type.Object(
  {
    role: Type.Union([Type.Literal('edge'), Type.Literal('node')]),
    /** Where the API answers members: `host:port`. */
    api: Text,
    /** The address at which others reach this machine. */
    advertise: Text,
    /** What its operator says of it, for placement. */
    labels: Type.Record(Text, Text),
    /** Of the cluster. */
    authority: Pem,
    /** This member's, then the authority's. */
    cert: Pem,
    key: Pem,
  },
  { additionalProperties: false },
);

/** What a machine knows of the cluster that it has joined. */
export type Membership = Static<typeof Membership>;

async function pathIn(dataDir: string): Promise<string> {
  return join(await openSecrets(dataDir), 'cluster-member');
}

/** Undefined if the data directory is of no member. @throws Error if what is there cannot be read */
export async function readMembership(dataDir: string): Promise<Membership | undefined> {
  const path = await pathIn(dataDir);
  const text = await readSecret(path);
  if (text === undefined) return undefined;
  const read = parse(text);
  if (!read) throw damagedSecret(path);
  await closeSecret(path);
  return read;
}

function parse(text: string): Membership | undefined {
  try {
    const read: unknown = JSON.parse(text);
    return Value.Check(Membership, read) ? read : undefined;
  } catch {
    return undefined;
  }
}

/** In one file, readable by its owner alone, and replaced as a whole. */
export async function keepMembership(dataDir: string, membership: Membership): Promise<void> {
  await keepSecret(await pathIn(dataDir), JSON.stringify(membership));
}

/** As `readMembership`, for a process of a role. @throws Error if the machine has joined as another */
export async function readOwnMembership(
  dataDir: string,
  role: Membership['role'],
): Promise<Membership | undefined> {
  const membership = await readMembership(dataDir);
  if (!membership || membership.role === role) return membership;
  throw new Error(
    `${dataDir} is of the ${membership.role} of a cluster: start \`islet ${membership.role}\`, or give another --data-dir`,
  );
}
