import { IsletError } from './error.ts';

export function invalidFilesHash(): IsletError {
  return new IsletError(400, 'Invalid files hash');
}

/** @param step from 1 */
export function invalidFilesHashInStep(step: number): IsletError {
  return new IsletError(400, `Invalid files hash in step ${step}`);
}

export function unsignedUpload(): IsletError {
  return new IsletError(403, 'this upload address was not signed here: ask for a new one');
}

export function expiredUpload(): IsletError {
  return new IsletError(403, 'this upload address has expired: ask for a new one');
}

export function uploadWithoutLength(): IsletError {
  return new IsletError(411, 'an upload has to say its Content-Length');
}

export function archiveTooLarge(mostMib: number): IsletError {
  return new IsletError(413, `the archive is larger than ${mostMib} MiB, the largest disk of your team`);
}

export function uploadBrokeOff(received: number, length: number, cause: unknown): IsletError {
  return new IsletError(400, `the upload broke off after ${received} of ${length} bytes`, { cause });
}

/** 400: `defect` says what is wrong with the archive. */
export function archiveRefused(defect: Error): IsletError {
  return new IsletError(400, defect.message, { cause: defect });
}

/** 429: `wait` says for what the team has to wait. */
export function inspectorBusy(wait: Error): IsletError {
  return new IsletError(429, wait.message, { cause: wait });
}

export function tooManyUploads(most: number): IsletError {
  return new IsletError(429, `your team has ${most} uploads under way: wait for one to end`);
}
