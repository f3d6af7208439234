import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@connectrpc/connect';
import type { StaticNode } from '@islet/api';
import { nodeProto } from '@islet/contracts';
import type { Database } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import { registerBase } from '../up/base-template.ts';
import { transportTo } from './processes/transport.ts';

export interface BaseRegistration extends AsyncDisposable {
  /** Resolves when the template `base` is a node's build. */
  done: Promise<void>;
}

const ASK_TIMEOUT_MS = 5_000;
/** Between two rounds of asking, ms. */
const PAUSE_MS = 1_000;

/** Asks the nodes, until one has it, for the build that the template `base` is to stand for. */
export function registerBaseOfNodes(
  nodes: readonly StaticNode[],
  db: Database,
  logger: Logger,
): BaseRegistration {
  const stop = new AbortController();
  const { signal } = stop;
  const clients = nodes.map(({ orchestratorUrl, token }) =>
    createClient(nodeProto.ShippedTemplates, transportTo(orchestratorUrl, token)),
  );
  const ask = async () => {
    while (!signal.aborted) {
      for (const client of clients) {
        try {
          const {
            $typeName: _,
            $unknown: __,
            ...base
          } = await client.getBase({}, { timeoutMs: ASK_TIMEOUT_MS, signal });
          return await registerBase(db, base);
        } catch (error) {
          if (!signal.aborted) logger.info({ err: error }, 'a node has no template base yet, asking again');
        }
      }
      await sleep(PAUSE_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  };
  const done = ask();
  return {
    done,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await done;
    },
  };
}
