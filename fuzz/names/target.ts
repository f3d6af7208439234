import { parseTemplateReference } from '../../packages/api/src/templates/reference.ts';
import {
  IsletError,
  parseAuthority,
  parseHostPattern,
  parseOrigin,
  parseOriginPattern,
  parseSandboxId,
} from '../../packages/contracts/src/index.ts';
import { VolumePath } from '../../packages/orchestrator/src/volumes/path.ts';
import { parseTarget } from '../../packages/proxy/src/routing/target.ts';
import { ImageError } from '../../packages/template-manager/src/images/image-error.ts';
import { formatReference, parseReference } from '../../packages/template-manager/src/images/reference.ts';
import type { FuzzTarget } from '../target.ts';

/** Up to three lines: a host, and the two headers that may name a sandbox. */
export const target: FuzzTarget = {
  description: 'names that strangers write: hosts, origins, sandboxes, templates, images, paths in volumes',
  run(input) {
    const text = input.toString('utf8');
    const [host, sandboxId, port] = text.split('\n');
    const found = allowed(() => parseTarget({ host, sandboxId, port }));
    if (found && !(found.port >= 1 && found.port <= 65_535 && /^[a-z0-9]+$/.test(found.sandboxId)))
      throw new Error(`a target of port ${found.port} in '${found.sandboxId}'`);
    for (const read of [parseAuthority, parseOrigin, parseHostPattern, parseOriginPattern, parseSandboxId])
      allowed(() => read(text));
    allowed(() => parseTemplateReference(text));
    const image = allowed(() => formatReference(parseReference(text)));
    // It becomes an argument of a command.
    if (image !== undefined && !/^[A-Za-z0-9[][\w./:@[\]-]*$/.test(image))
      throw new Error(`an image '${image}'`);
    const path = allowed(() => VolumePath.parse(text));
    if (path?.names.some((name) => /^\.{0,2}$|[/\0]/.test(name))) throw new Error(`a path '${path}'`);
  },
};

function allowed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const isRefusal = error instanceof IsletError && error.status < 500;
    if (isRefusal || error instanceof ImageError || error instanceof RangeError) return undefined;
    throw error;
  }
}
