import type { Cells } from '../host/cells.ts';
import { type Confinement, runConfined } from '../host/confined.ts';
import { keepText } from '../host/keep-text.ts';
import { explainPull } from './pull-failure.ts';

export interface UnpackRequest {
  /** The image's name, for messages. */
  image: string;
  /** The pull's folder, which holds the layout. */
  pullDir: string;
  /** Exists and is empty. */
  target: string;
  cells: Cells;
}

/** Files of any owner and mode, as the layers have them; device files cannot be opened where they are made. */
const CAPABILITIES = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'MKNOD', 'SETFCAP'].map(
  (name) => `CAP_${name}`,
);
const WORDS_KEPT = 64 * 1024;

/** What unpacks sees and may do. */
export function unpackConfinement({
  pullDir,
  target,
}: Pick<UnpackRequest, 'pullDir' | 'target'>): Confinement {
  return {
    view: { readable: { '/pull': pullDir }, writable: { '/rootfs': target } },
    capabilities: CAPABILITIES,
    env: { HOME: '/', LC_ALL: 'C.UTF-8' },
  };
}

/** Unpacks an image. Whose paths stay in the target is umoci's to see to, which sees nothing else; devices are of no use. */
export async function unpackImage(request: UnpackRequest, signal: AbortSignal): Promise<void> {
  const { image, cells } = request;
  const said = keepText(WORDS_KEPT);
  const run = (command: readonly string[]) =>
    runConfined({ ...unpackConfinement(request), command, onLine: said.add, cells, signal });
  try {
    await run(['umoci', 'raw', 'unpack', '--image', '/pull/layout:image', '/rootfs']);
    // When nothing of it runs any more that could make another.
    await run(['find', '/rootfs', '-xdev', '(', '-type', 'b', '-o', '-type', 'c', ')', '-delete']);
  } catch (error) {
    signal.throwIfAborted();
    throw explainPull(image, said.text, error);
  }
}
