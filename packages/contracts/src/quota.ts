import { type Quota, quotaExceeded } from './errors/quotas.ts';

/** @throws IsletError 403 if a request would pass what its team may keep */
export function assertWithin(quota: Quota): void {
  if (quota.used + quota.wanted > quota.most) throw quotaExceeded(quota);
}
