import { join } from 'node:path';
import { takeFileLock } from '@islet/host';
import type { Instance } from './instance.ts';

/** Claims a data directory for this process. @throws LockHeldError whose note names the holder's pid. */
export function lockInstance(instance: Instance): Promise<AsyncDisposable> {
  return takeFileLock(join(instance.dataDir, 'islet.lock'), `pid ${process.pid}`);
}
