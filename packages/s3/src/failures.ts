import { S3ServiceException } from '@aws-sdk/client-s3';
import { nameOf, type S3Place } from './place.ts';

/** What the codes of servers mean to whoever runs Islet. */
const SAID: Readonly<Record<string, (place: S3Place) => string>> = {
  InvalidBucketName: ({ bucket }) => `${bucket} is no name of a bucket there: correct --store`,
  NoSuchBucket: ({ bucket }) => `there is no bucket ${bucket}: make it, or correct --store`,
  AccessDenied: () => 'the credentials do not allow that: see "Permissions" in docs/cluster.md',
  InvalidAccessKeyId: () => 'the server does not know AWS_ACCESS_KEY_ID',
  SignatureDoesNotMatch: () =>
    'the server refuses the credentials: correct AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY',
  ExpiredToken: () => 'the credentials are no longer valid: renew AWS_SESSION_TOKEN',
  RequestTimeTooSkewed: () => "this machine's clock is wrong",
  SlowDown: () => 'the server is asked too often',
  QuotaExceeded: () => 'the store is full',
};

const WRONG_REGION = new Set([
  'PermanentRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
]);

/** What a server that does not say more means by a status. */
const STATUSES: Readonly<Record<number, keyof typeof SAID>> = { 403: 'AccessDenied', 404: 'NoSuchBucket' };

/** Why a request was in vain, and what to do about it, as the end of a sentence; without secrets. */
export function reasonOf(error: unknown, place: S3Place): string {
  if (error instanceof S3ServiceException) return saidBy(error, place);
  const { name, code, message } = flat(error);
  if (name === 'CredentialsProviderError') {
    return 'there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE';
  }
  if (/region is missing/i.test(message)) return 'its region is not known: set --store-region (AWS_REGION)';
  const server = place.endpoint ?? "Amazon's server";
  return `${server} cannot be reached (${code ?? name}): is --store-endpoint right, and the server there?`;
}

function saidBy(error: S3ServiceException, place: S3Place): string {
  const status = error.$metadata.httpStatusCode ?? 0;
  if (WRONG_REGION.has(error.name) || status === 301 || status === 307) {
    const right: unknown =
      error.$response?.headers['x-amz-bucket-region'] ?? (error as { Region?: unknown }).Region;
    const [is, use] = typeof right === 'string' ? [`in ${right}`, right] : ['in another region', 'it'];
    return `the bucket is ${is}: set --store-region (AWS_REGION) to ${use}`;
  }
  const said = SAID[error.name] ?? SAID[STATUSES[status] ?? ''];
  return said?.(place) ?? `the server says ${error.name} (${status})`;
}

/** Of several failures, such as those of a name's addresses, the first. */
function flat(error: unknown): { name: string; code?: string; message: string } {
  const first: unknown = error instanceof AggregateError ? (error.errors[0] ?? error) : error;
  if (!(first instanceof Error)) return { name: 'Error', message: String(first) };
  const { name, message } = first;
  const code = (first as NodeJS.ErrnoException).code;
  return { name, message, ...(typeof code === 'string' && { code }) };
}

/** The same for all: who, and why. */
export function messageOf(error: unknown, place: S3Place): string {
  return `the store ${nameOf(place)} does not work: ${reasonOf(error, place)}`;
}
