import { pauseFor } from '@islet/contracts';
import { type ConsulAgent, ConsulError } from './agent.ts';

/** A service of this machine. */
export interface ServiceEntry {
  /** Unique on the agent. */
  id: string;
  name: string;
  address: string;
  port: number;
  meta: Readonly<Record<string, string>>;
  /** `host:port` that has to take a connection, or an address that has to answer with 2xx. */
  check: { tcp: string } | { http: string };
}

export interface Registration extends AsyncDisposable {
  /** Resolves when it is registered for the first time. */
  first: Promise<void>;
}

/** From one look whether it still is registered to the next, ms: an agent that lost its state forgets what came by its API. */
const LOOK_MS = 20_000;
const ASK_MS = 5_000;
/** How long a check may take and how often it is made, ms; after how long a critical one takes the service away, ms. */
const CHECK = { Interval: '5s', Timeout: '2s', DeregisterCriticalServiceAfter: '24h' };

/** Keeps a service registered at the agent, with its check, until it is disposed of. @param onFailure told of the first of several */
export function keepRegistered(
  agent: ConsulAgent,
  entry: ServiceEntry,
  onFailure: (error: unknown) => void,
  lookMs = LOOK_MS,
): Registration {
  const stop = new AbortController();
  const { signal } = stop;
  let registered: () => void = () => undefined;
  const first = new Promise<void>((resolve) => {
    registered = resolve;
  });
  const keep = async () => {
    let failures = 0;
    // What an earlier process registered under the id may be elsewhere.
    let isOwn = false;
    while (!signal.aborted) {
      try {
        isOwn &&= await isRegistered(agent, entry.id, signal);
        if (!isOwn) await register(agent, entry, signal);
        isOwn = true;
        registered();
        failures = 0;
      } catch (error) {
        if (!signal.aborted && failures++ === 0) onFailure(error);
      }
      await pauseFor(lookMs, signal);
    }
  };
  const kept = keep();
  return {
    first,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await kept;
      const path = `/v1/agent/service/deregister/${encodeURIComponent(entry.id)}`;
      // An agent that is away finds the check critical.
      await agent.ask({ method: 'PUT', path, timeoutMs: ASK_MS }).catch(() => undefined);
    },
  };
}

async function isRegistered(agent: ConsulAgent, id: string, signal: AbortSignal): Promise<boolean> {
  try {
    const path = `/v1/agent/service/${encodeURIComponent(id)}`;
    await agent.ask({ method: 'GET', path, timeoutMs: ASK_MS, signal });
    return true;
  } catch (error) {
    if (error instanceof ConsulError && error.status === 404) return false;
    throw error;
  }
}

async function register(
  agent: ConsulAgent,
  { id, name, address, port, meta, check }: ServiceEntry,
  signal: AbortSignal,
): Promise<void> {
  const how = 'tcp' in check ? { TCP: check.tcp } : { HTTP: check.http };
  await agent.ask({
    method: 'PUT',
    path: '/v1/agent/service/register?replace-existing-checks=true',
    body: { ID: id, Name: name, Address: address, Port: port, Meta: meta, Check: { ...how, ...CHECK } },
    ...{ timeoutMs: ASK_MS, signal },
  });
}
