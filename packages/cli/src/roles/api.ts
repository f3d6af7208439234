import { type Api, type ApiDeps, type Collector, createApi } from '@islet/api';
import { Undo } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import { administrationOf, type ClusterPlace } from '../control/administration.ts';
import { KeyRotation } from '../control/key-rotation.ts';
import { controlSocket } from '../control/open.ts';
import { serveControl } from '../control/socket.ts';
import type { Instance } from '../host/instance.ts';
import type { MasterKeyFile } from '../host/master-key-file.ts';
import type { Secrets } from '../host/secrets.ts';
import { shareApi } from '../up/api-connections.ts';
import type { UpConfig } from '../up/config.ts';
import type { FurtherTemplates } from '../up/further-templates.ts';
import { urlHost } from '../up/listen.ts';
import type { UnexpectedErrors } from '../up/unexpected.ts';

/** What the API takes as it is. */
type Given =
  | 'db'
  | 'routes'
  | 'reservations'
  | 'contents'
  | 'rateLimit'
  | 'notices'
  | 'hearings'
  | 'pending'
  | 'discovery'
  | 'artifacts'
  | 'uploads'
  | 'samples'
  | 'logs'
  | 'events'
  | 'lossEvents'
  | 'deliveries'
  | 'audit'
  | 'buildLogs'
  | 'verdicts'
  | 'teams'
  | 'further'
  | 'web';

export interface ApiRoleOptions extends Pick<ApiDeps, Given> {
  config: Pick<
    UpConfig,
    'host' | 'apiPort' | 'secureByDefault' | 'volumeSizeMb' | 'webhookAllow' | 'identityIssuer'
  >;
  /** Brings to the API what its nodes note. */
  collector: Collector;
  instance: Instance;
  secrets: Pick<Secrets, 'tokenSeed' | 'adminToken'>;
  masterKeys: MasterKeyFile;
  /** The name that sandboxes are reached under. */
  domain: string;
  /** Where the edge is, for people. */
  sandboxUrl: string;
  /** Builds the templates that ship with Islet. */
  furtherTemplates: FurtherTemplates;
  /** Where other machines join; undefined if it is open to none. */
  cluster: () => ClusterPlace | undefined;
  unexpected: UnexpectedErrors;
  version: string;
  logger: Logger;
}

/** The control plane, open to clients, and to the operator's commands. */
export interface ApiRole extends AsyncDisposable {
  url: string;
  port: number;
  wake: Api['wake'];
  findSigner: Api['findSigner'];
  nodesBuilds: Api['nodesBuilds'];
}

/** The API of an installation. It serves when it knows what lives on its nodes, or they are silent for some seconds. */
export async function openApi(options: ApiRoleOptions): Promise<ApiRole> {
  const { config, instance, secrets, domain, sandboxUrl, cluster, unexpected, version, ...given } = options;
  const undo = new Undo();
  let apiUrl = '';
  try {
    const api = await createApi({
      ...given,
      ...secrets,
      domain,
      version,
      webhookAllow: config.webhookAllow,
      issuer: () => config.identityIssuer ?? apiUrl,
      secureByDefault: config.secureByDefault,
      volumeSizeMb: config.volumeSizeMb > 0 ? config.volumeSizeMb : undefined,
      logger: given.logger.child({ component: 'api' }),
    });
    shareApi(api.app.server);
    undo.add('the API', () => api.app.close());
    given.collector.follow(given.discovery, api.hear);
    const address = new URL(await api.app.listen({ host: config.host, port: config.apiPort }));
    const port = Number(address.port);
    apiUrl = `http://${urlHost(config.host)}:${port}`;
    const control = await serveControl({
      path: controlSocket(instance),
      administration: administrationOf(given.db, {
        nodes: api.nodeClients,
        cluster,
        forget: api.forget,
        further: options.furtherTemplates,
        ...{ audit: api.audit, metering: api.metering, dispatcher: api.dispatcher },
        rotation: new KeyRotation({ vault: api.vault, file: given.masterKeys }),
      }),
      record: (done) => api.audit.record(done),
      status: () => ({
        ...{ pid: process.pid, version, apiUrl, sandboxUrl },
        unexpectedErrors: unexpected.count,
      }),
    });
    undo.add('the control socket', () => control[Symbol.asyncDispose]());
    return {
      ...{ url: apiUrl, port, wake: api.wake, findSigner: api.findSigner },
      nodesBuilds: api.nodesBuilds,
      [Symbol.asyncDispose]: () => undo[Symbol.asyncDispose](),
    };
  } catch (error) {
    await undo[Symbol.asyncDispose]();
    throw error;
  }
}
