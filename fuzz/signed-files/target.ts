import type { IncomingMessage } from 'node:http';
import { create } from '@bufbuild/protobuf';
import { KnownSandboxes } from '../../packages/api/src/sandboxes/known-sandboxes.ts';
import { createFindSigner } from '../../packages/api/src/sandboxes/signers.ts';
import { type Route, routeOf } from '../../packages/catalog/src/index.ts';
import { SignedFileRouter } from '../../packages/client-proxy/src/routing/signed-files.ts';
import {
  type FileOperation,
  IsletError,
  orchestratorProto,
  signFile,
} from '../../packages/contracts/src/index.ts';
import { authorizeTransfer } from '../../packages/envd/src/files/authorize.ts';
import type { FuzzTarget } from '../target.ts';

const TOKEN = 'token';
const SANDBOX = 'sandbox1';
const OPERATIONS: Record<string, FileOperation> = { GET: 'read', POST: 'write' };

/** A method, a blank and what is asked for; `$SIGNATURE` stands for the right one of the rest. */
export const target: FuzzTarget = {
  description: 'a signed address of a file, as the edge and the sandbox behind it read it',
  maxBytes: 8192,
  async run(input) {
    const [method = '', written = ''] = input.toString('latin1').split(' ');
    const operation = OPERATIONS[method];
    const url = written.replaceAll(
      '$SIGNATURE',
      encodeURIComponent(signatureOf(written, operation ?? 'read')),
    );
    const router = new SignedFileRouter({ find: (id) => routes.get(id) }, findSigner);
    if (!router.claims(method, url)) {
      if (operation && isLetIn(url, operation))
        throw new Error('the edge leads no one to a file that is signed');
      return;
    }
    const found = await router.find(method, url).then(
      ({ sandboxId }) => sandboxId,
      (error: unknown) => {
        if (error instanceof IsletError && error.status === 401) return undefined;
        throw error;
      },
    );
    if (operation && isLetIn(url, operation) && found !== SANDBOX)
      throw new Error('the sandbox takes a signature that the edge does not know');
    if (found !== undefined && !written.includes('$SIGNATURE')) throw new Error('a signature was guessed');
  },
};

const sandbox = create(orchestratorProto.SandboxSchema, {
  config: { sandboxId: SANDBOX, envdAccessToken: TOKEN },
  ...{ executionId: 'run', state: orchestratorProto.SandboxState.RUNNING },
});
const place = { nodeId: 'n', proxyAddress: undefined, expiresAtMs: Number.POSITIVE_INFINITY };
const routes = new Map<string, Route>([[SANDBOX, routeOf(sandbox, place)]]);
const known = new KnownSandboxes();
known.put(sandbox as Parameters<typeof known.put>[0]);
const findSigner = createFindSigner(known);

function queryOf(url: string): URLSearchParams {
  const mark = url.indexOf('?');
  return new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1));
}

function signatureOf(url: string, operation: FileOperation): string {
  const query = queryOf(url);
  const expiration = query.get('signature_expiration');
  return signFile({
    ...{ path: query.get('path') ?? '', username: query.get('username') ?? '' },
    ...{ operation, envdAccessToken: TOKEN },
    ...(expiration ? { expiration: Number(expiration) } : {}),
  });
}

/** As envd decides; the path is the one that it serves files at. */
function isLetIn(url: string, operation: FileOperation): boolean {
  if (!url.startsWith('/files?')) return false;
  try {
    const request = { headers: {} } as IncomingMessage;
    authorizeTransfer(request, queryOf(url), operation, { token: TOKEN, nowSeconds: 1_800_000_000 });
    return true;
  } catch (error) {
    if (error instanceof IsletError && error.status < 500) return false;
    throw error;
  }
}
