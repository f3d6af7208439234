/** Who did something: a team by its key, a user by a token, the operator, or whoever had a signed address or a volume's token. */
export type AuditActor = 'team' | 'user' | 'operator' | 'bearer';

/** One call that changed something, or tried to. It holds no secret. */
export interface AuditRecord {
  /** A UUID. */
  id: string;
  /** When it was answered, Unix milliseconds. */
  timeMs: number;
  /** The HTTP API, or the control socket that commands of the same machine use. */
  via: 'api' | 'control';
  actor: AuditActor;
  /** Whom it was for; null if for no team, or for one that is not known. */
  teamId: string | null;
  userId: string | null;
  /** Of the API key or access token that was shown. */
  keyId: string | null;
  /** `e2b_53...dd90` */
  keyMask: string | null;
  /** Where it came from; null of the control socket. */
  address: string | null;
  /** Of HTTP; of the control socket: the name of the call. */
  method: string;
  /** The route's pattern, such as `/sandboxes/:sandboxID`; of the control socket, empty. */
  route: string;
  /** What it was about, by name: `sandboxID` … */
  objects: Record<string, string>;
  /** HTTP status of the answer; calls of the control socket are answered with 200, 400 or 500. */
  status: number;
}

/** The place of a record among others. */
export interface AuditPlace {
  timeMs: number;
  id: string;
}

/** A record is selected if all that is given fits. */
export interface AuditQuery {
  teamId?: string | undefined;
  userId?: string | undefined;
  keyId?: string | undefined;
  address?: string | undefined;
  actor?: AuditActor | undefined;
  method?: string | undefined;
  route?: string | undefined;
  /** Any of its objects is this one. */
  object?: string | undefined;
  /** Unix milliseconds, inclusive. */
  startMs?: number | undefined;
  /** Unix milliseconds, exclusive. */
  endMs?: number | undefined;
  /** By time, records of one moment by their id. */
  order: 'ascending' | 'descending';
  /** Behind which the answer begins, in the order asked for. */
  after?: AuditPlace | undefined;
  limit: number;
}

/** Keeps what was done, for 90 days where it lasts. */
export interface AuditStore {
  /** Resolves when the records can be read. One that comes twice, by its id, is kept once. */
  write(records: readonly AuditRecord[]): Promise<void>;
  query(query: AuditQuery): Promise<AuditRecord[]>;
}
