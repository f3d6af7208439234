import type { ArtifactStore } from '@islet/artifacts';
import { assertWithin, tooManyUploads } from '@islet/contracts';
import type { Team } from '@islet/db';

const MIB = 1024 * 1024;
/** Uploads of one team at once: a template's, of which the SDK sends all together. */
const MOST_AT_ONCE = 256;

interface UnderWay {
  uploads: number;
  bytes: number;
}

/** How much a team may keep in archives for COPY steps; what is on its way counts. */
export class UploadQuota {
  readonly #artifacts: Pick<ArtifactStore, 'bytesOf'>;
  readonly #underWay = new Map<string, UnderWay>();

  constructor(artifacts: Pick<ArtifactStore, 'bytesOf'>) {
    this.#artifacts = artifacts;
  }

  /**
   * Takes room for an archive of `bytes`, until it is stored or has failed.
   * @throws IsletError 403 if the team has no room for it, 429 where too many are on their way
   */
  async take({ id, limits }: Team, bytes: number): Promise<Disposable> {
    const kept = await this.#artifacts.bytesOf(id);
    const now = this.#underWay.get(id) ?? { uploads: 0, bytes: 0 };
    if (now.uploads >= MOST_AT_ONCE) {
      throw tooManyUploads(MOST_AT_ONCE);
    }
    assertWithin({
      what: 'uploaded files',
      used: (kept + now.bytes) / MIB,
      wanted: bytes / MIB,
      most: limits.maxUploadMb,
      unit: 'MiB',
      remedy: 'files that no build used for a week are removed by themselves: wait for that',
      flag: '--uploads-mb',
    });
    this.#add(id, 1, bytes);
    return { [Symbol.dispose]: () => this.#add(id, -1, -bytes) };
  }

  #add(teamId: string, uploads: number, bytes: number): void {
    const now = this.#underWay.get(teamId) ?? { uploads: 0, bytes: 0 };
    const then = { uploads: now.uploads + uploads, bytes: now.bytes + bytes };
    if (then.uploads > 0) this.#underWay.set(teamId, then);
    else this.#underWay.delete(teamId);
  }
}
