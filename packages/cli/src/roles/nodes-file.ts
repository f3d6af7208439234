import { readFile, stat } from 'node:fs/promises';
import type { StaticNode } from '@islet/api';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

const MOST_BYTES = 1024 * 1024;

const Url = Type.String({ pattern: '^https?://[^\\s/]+$', maxLength: 300 });

const NodesFile = Type.Array(
  Type.Object(
    {
      id: Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' }),
      labels: Type.Optional(Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 256 }))),
      /** `http://host:5008` */
      orchestrator: Url,
      /** `http://host:5009` */
      templateManager: Url,
      /** `host:5007` */
      sandboxProxy: Type.String({ pattern: '^(\\[[0-9a-fA-F:]+\\]|[^\\s:/]+):[0-9]{1,5}$', maxLength: 300 }),
    },
    { additionalProperties: false },
  ),
  { minItems: 1, maxItems: 10_000 },
);

const EXAMPLE: Static<typeof NodesFile> = [
  {
    id: 'one',
    orchestrator: 'http://127.0.0.1:5008',
    templateManager: 'http://127.0.0.1:5009',
    sandboxProxy: '127.0.0.1:5007',
  },
];

/**
 * Reads the list of an installation's nodes.
 * @param token what they ask their callers for
 * @throws Error with what is wrong and what a list looks like
 */
export async function readNodesFile(path: string, token: string): Promise<StaticNode[]> {
  const listed = await parseNodes(path).catch((cause: unknown) => {
    throw new Error(`${path} is no list of nodes; one looks like ${JSON.stringify(EXAMPLE)}`, { cause });
  });
  return listed.map(({ orchestrator, templateManager, sandboxProxy, id, labels = {} }) => ({
    ...{ id, labels, token },
    orchestratorUrl: orchestrator,
    templateManagerUrl: templateManager,
    proxyAddress: sandboxProxy,
  }));
}

async function parseNodes(path: string): Promise<Static<typeof NodesFile>> {
  if ((await stat(path)).size > MOST_BYTES) throw new RangeError(`it is larger than ${MOST_BYTES} bytes`);
  const written: unknown = JSON.parse(await readFile(path, 'utf8'));
  if (Value.Check(NodesFile, written)) return written;
  const [first] = Value.Errors(NodesFile, written);
  throw new TypeError(`${first?.instancePath || '/'} ${first?.message ?? 'is wrong'}`);
}
