import { XdrError, XdrReader, XdrWriter } from './xdr.ts';

/** Who asks, as the client's kernel says (AUTH_SYS). */
export interface Credentials {
  uid: number;
  gid: number;
  /** Supplementary groups; the protocol has room for sixteen. */
  groups: readonly number[];
}

/** Answers a call: reads its arguments and writes its results. @throws XdrError if the arguments are none */
export type Procedure = (args: XdrReader, caller: Credentials, results: XdrWriter) => Promise<void>;

/** A program of remote procedures, by number. */
export interface Program {
  version: number;
  procedures: ReadonlyMap<number, Procedure>;
}

const CALL = 0;
const REPLY = 1;
const RPC_VERSION = 2;
const AUTH_NONE = 0;
const AUTH_SYS = 1;
const MAX_AUTH_BYTES = 400;
const MAX_HOST_NAME_BYTES = 255;
const MAX_GROUPS = 16;

const ACCEPTED = 0;
const DENIED = 1;
/** How an accepted call went. */
const Outcome = { success: 0, noProgram: 1, otherVersion: 2, noProcedure: 3, garbage: 4, failed: 5 } as const;
/** Why a call was denied, and what is wrong with its credentials. */
const VERSION_MISMATCH = 0;
const AUTH_ERROR = 1;
const AUTH_REJECTED_CREDENTIALS = 2;

/** Says "as it is" to system calls: what was done as this user would be done as root. */
const NO_ID = 2 ** 32 - 1;

/** Anybody: what a call without credentials is made as. */
const NOBODY: Credentials = { uid: 65_534, gid: 65_534, groups: [] };

/**
 * Answers one remote procedure call (RFC 5531).
 * @param programs by number
 * @param onFailure told of what a procedure threw that is no fault of the caller
 * @throws XdrError if it is no call at all: there is nobody to answer
 */
export async function answerCall(
  record: Buffer,
  programs: ReadonlyMap<number, Program>,
  onFailure: (error: unknown) => void,
): Promise<Buffer> {
  const call = new XdrReader(record);
  const xid = call.u32();
  if (call.u32() !== CALL) throw new XdrError('it is no call');
  const reply = () => new XdrWriter().u32(xid).u32(REPLY);
  if (call.u32() !== RPC_VERSION)
    return reply().u32(DENIED).u32(VERSION_MISMATCH).u32(RPC_VERSION).u32(RPC_VERSION).bytes();
  const [program, version, procedure] = [call.u32(), call.u32(), call.u32()];
  const caller = readCredentials(call);
  readAuth(call); // the verifier, which says nothing with these credentials
  if (!caller) return reply().u32(DENIED).u32(AUTH_ERROR).u32(AUTH_REJECTED_CREDENTIALS).bytes();
  const accepted = (outcome: number) => reply().u32(ACCEPTED).u32(AUTH_NONE).u32(0).u32(outcome);

  const known = programs.get(program);
  if (!known) return accepted(Outcome.noProgram).bytes();
  if (known.version !== version)
    return accepted(Outcome.otherVersion).u32(known.version).u32(known.version).bytes();
  const run = known.procedures.get(procedure);
  if (!run) return accepted(Outcome.noProcedure).bytes();
  try {
    const results = accepted(Outcome.success);
    await run(call, caller, results);
    return results.bytes();
  } catch (error) {
    if (error instanceof XdrError) return accepted(Outcome.garbage).bytes();
    onFailure(error);
    return accepted(Outcome.failed).bytes();
  }
}

/** Undefined if they are of a kind that is not taken. */
function readCredentials(call: XdrReader): Credentials | undefined {
  const { flavor, body } = readAuth(call);
  if (flavor === AUTH_NONE) return NOBODY;
  if (flavor !== AUTH_SYS) return undefined;
  body.u32(); // a stamp of the client's
  body.opaque(MAX_HOST_NAME_BYTES);
  const [uid, gid, count] = [body.u32(), body.u32(), body.u32()];
  if (count > MAX_GROUPS) throw new XdrError(`${count} groups are more than ${MAX_GROUPS}`);
  const groups = Array.from({ length: count }, () => body.u32());
  return [uid, gid, ...groups].includes(NO_ID) ? undefined : { uid, gid, groups };
}

function readAuth(call: XdrReader): { flavor: number; body: XdrReader } {
  return { flavor: call.u32(), body: new XdrReader(call.opaque(MAX_AUTH_BYTES)) };
}
