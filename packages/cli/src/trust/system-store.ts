import { access, chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../doctor/run.ts';
import { TrustError, type TrustStore } from './store.ts';

const FOLDER = '/usr/local/share/ca-certificates';

/** What Debian's programs trust: OpenSSL, GnuTLS, and through them curl, Python, wget, git, and Debian's Java. */
export function systemStore(run: Run): TrustStore {
  const fileOf = (instance: string) => join(FOLDER, `islet-${instance}.crt`);
  const update = async () => {
    const { code, stderr } = await run('update-ca-certificates', []);
    if (code === 0) return;
    throw new TrustError(
      `update-ca-certificates failed: ${stderr.trim() || `it ended with ${code}`}. Install ca-certificates; on a ` +
        'system that is not Debian’s kind, give the output of `islet trust --print` to its own tool',
    );
  };
  return {
    kind: 'system',
    path: FOLDER,
    async add({ instance, pem }) {
      await mkdir(FOLDER, { recursive: true });
      await writeFile(fileOf(instance), pem);
      await chmod(fileOf(instance), 0o644);
      await update();
    },
    async remove(instance) {
      const isThere = await access(fileOf(instance)).then(
        () => true,
        () => false,
      );
      if (!isThere) return false;
      await rm(fileOf(instance));
      await update();
      return true;
    },
  };
}
