import type { Accounts } from '../accounts/account.ts';
import { readJsonBody } from '../http/json-body.ts';
import { respondJson } from '../http/respond.ts';
import type { Route } from '../http/server.ts';
import type { ExtendedAttributes } from '../native/xattr.ts';
import type { Settings } from '../settings.ts';
import { authorizeTransfer } from './authorize.ts';
import { composeFiles, parseCompose } from './compose.ts';
import { sendFile } from './download.ts';
import { transferAccount, transferPath } from './target.ts';
import { receiveFiles } from './upload.ts';

export interface FileRouteDeps {
  settings: Settings;
  accounts: Accounts;
  attributes: ExtendedAttributes;
  randomBytes: (length: number) => Buffer;
  /** Unix milliseconds. */
  now: () => number;
}

const MAX_COMPOSE_BODY_BYTES = 4 * 1024 * 1024;

/** File contents over plain HTTP. */
export function fileRoutes(deps: FileRouteDeps): Route[] {
  const { settings, accounts } = deps;
  const access = () => ({ token: settings.accessToken, nowSeconds: Math.floor(deps.now() / 1000) });
  return [
    {
      method: 'GET',
      path: '/files',
      async handle(request, response, query) {
        authorizeTransfer(request, query, 'read', access());
        const account = transferAccount(query.get('username'), settings, accounts);
        await sendFile(transferPath(query.get('path') ?? '', account, settings), request, response);
      },
    },
    {
      method: 'POST',
      path: '/files',
      async handle(request, response, query) {
        authorizeTransfer(request, query, 'write', access());
        const account = transferAccount(query.get('username'), settings, accounts);
        const written = await receiveFiles(request, {
          account,
          attributes: deps.attributes,
          path: query.get('path') ?? undefined,
          resolve: (path) => transferPath(path, account, settings),
        });
        respondJson(response, 200, written);
      },
    },
    {
      method: 'POST',
      path: '/files/compose',
      async handle(request, response) {
        const body = parseCompose(await readJsonBody(request, MAX_COMPOSE_BODY_BYTES));
        const account = transferAccount(body.username, settings, accounts);
        const written = await composeFiles(
          body.sources.map((path) => transferPath(path, account, settings)),
          transferPath(body.destination, account, settings),
          { account, randomBytes: deps.randomBytes },
        );
        respondJson(response, 200, written);
      },
    },
  ];
}
