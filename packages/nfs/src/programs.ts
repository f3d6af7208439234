import { isUuid } from '@islet/contracts';
import * as content from './content.ts';
import { volumeIdBytes } from './exported-volume.ts';
import { abilities, limits, spaceOf } from './facts.ts';
import { listDirectory } from './listing.ts';
import * as names from './names.ts';
import { type Exports, procedure, type Work } from './procedure.ts';
import type { Procedure, Program } from './rpc.ts';
import { NfsError, STATUS_OK } from './status.ts';

const NFS = 100_003;
const MOUNT = 100_005;
const VERSION = 3;

const MAX_PATH_BYTES = 1024;
/** `MNT3ERR_NOENT` */
const NO_SUCH_VOLUME = 2;
const AUTH_SYS = 1;

const nothing: Procedure = async () => undefined;

/** Client and server agree on lists without attributes before the first one (`NFSPROC3_READDIRPLUS`). */
const refused: Work = async () => {
  throw new NfsError('ENOTSUP', 'lists have no attributes');
};

/** What a machine's clients may call: files of its volumes, by NFSv3 (RFC 1813), and how they come to the volumes' roots. */
export function volumePrograms(exports: Exports): ReadonlyMap<number, Program> {
  const nfs = (absent: number, work: Work) => procedure(exports, absent, work);
  return new Map([
    [
      NFS,
      {
        version: VERSION,
        procedures: new Map([
          [0, nothing],
          [1, nfs(0, content.getAttributes)],
          [2, nfs(2, content.setAttributes)],
          [3, nfs(1, names.lookUp)],
          [4, nfs(1, content.access)],
          [5, nfs(1, content.readLink)],
          [6, nfs(1, content.readFile)],
          [7, nfs(2, content.writeFile)],
          [8, nfs(2, names.create)],
          [9, nfs(2, names.makeDirectory)],
          [10, nfs(2, names.makeLink)],
          [11, nfs(2, names.makeSpecial)],
          [12, nfs(2, names.removeFile)],
          [13, nfs(2, names.removeDirectory)],
          [14, nfs(4, names.moveName)],
          [15, nfs(3, names.addName)],
          [16, nfs(1, listDirectory)],
          [17, nfs(1, refused)],
          [18, nfs(1, spaceOf)],
          [19, nfs(1, abilities)],
          [20, nfs(1, limits)],
          [21, nfs(2, content.commit)],
        ]),
      },
    ],
    [
      MOUNT,
      {
        version: VERSION,
        procedures: new Map([
          [0, nothing],
          [1, mount(exports)],
          [3, nothing],
        ]),
      },
    ],
  ]);
}

function mount(exports: Exports): Procedure {
  return async (args, _caller, results) => {
    const path = args.opaque(MAX_PATH_BYTES).toString('latin1');
    const volume = exports.get(keyOf(path.slice(1)));
    if (!volume) return void results.u32(NO_SUCH_VOLUME);
    results.u32(STATUS_OK).opaque(volume.root).u32(1).u32(AUTH_SYS);
  };
}

/** By which `Exports` has a volume; of what is none, a key that no volume has. */
export function keyOf(volumeId: string): string {
  return isUuid(volumeId) ? volumeIdBytes(volumeId).toString('hex') : '';
}
