import { IsletError } from './error.ts';

export interface Quota {
  /** What is counted, such as `snapshots`. */
  what: string;
  used: number;
  /** What the refused request would have added. */
  wanted: number;
  most: number;
  /** What is counted in, if it is not pieces. */
  unit?: 'MiB';
  /** How a client makes room, as a sentence without its end. */
  remedy: string;
  /** The option of `islet teams limit` that raises it. */
  flag: string;
}

/** 403: a request would pass what its team may keep. */
export function quotaExceeded({ what, used, most, unit, remedy, flag }: Quota): IsletError {
  const amount = (count: number) => `${Math.ceil(count)}${unit ? ` ${unit}` : ''}`;
  const quota = unit ? `${amount(most)} of ${what}` : `${amount(most)} ${what}`;
  const raise = `have the operator raise it (islet teams limit <team> ${flag} <n>)`;
  return new IsletError(
    403,
    `your team's quota is ${quota}, of which ${amount(used)} are used: ${remedy}, or ${raise}`,
    { errorCode: 'quota_exceeded' },
  );
}

export function tooManyTags(most: number): IsletError {
  return new IsletError(
    403,
    `a template may have at most ${most} tags: delete some first (DELETE /templates/tags, Template.removeTags)`,
    { errorCode: 'quota_exceeded' },
  );
}

export function tooManyAccessTokens(most: number): IsletError {
  return new IsletError(
    403,
    `a user may have at most ${most} access tokens: delete some first (DELETE /access-tokens/{accessTokenID})`,
    { errorCode: 'quota_exceeded' },
  );
}
