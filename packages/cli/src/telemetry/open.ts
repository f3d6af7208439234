import { hostname } from 'node:os';
import type { Undo } from '@islet/contracts';
import { startTelemetry, type Telemetry } from '@islet/telemetry';
import type { Instance } from '../host/instance.ts';
import type { PortWish } from '../host/ports.ts';
import { closeServer, listen } from '../up/listen.ts';
import { createMetricsServer } from './metrics-server.ts';

/** Where the operator's tools ask for figures. */
export interface MetricsAddress {
  host: string;
  /** 0: the system's choice. */
  port: number;
}

export interface ProcessName {
  /** What it is called in traces, figures and logs: `islet`, `islet-api` … */
  service: string;
  version: string;
}

/** What of a process leaves it for its operator's tools. */
export interface OpenedTelemetry {
  telemetry: Telemetry;
  /** Where it answers `GET /metrics`; none: it does not. */
  ports: { metrics?: number };
}

/** Begins to send what `OTEL_*` variables ask for, and to answer scrapes if there is an address for them. */
export async function openTelemetry(
  { service, version }: ProcessName,
  instance: Pick<Instance, 'name'>,
  address: MetricsAddress | undefined,
  undo: Undo,
): Promise<OpenedTelemetry> {
  const telemetry = await startTelemetry({
    ...{ service, version, answersScrapes: address !== undefined },
    instanceId: `${hostname()}/${instance.name}`,
  });
  undo.add('what is told of this process', () => telemetry[Symbol.asyncDispose]());
  if (!address) return { telemetry, ports: {} };
  const server = createMetricsServer(telemetry);
  undo.add('the answers to scrapes', () => closeServer(server));
  return { telemetry, ports: { metrics: await listen(server, address.host, address.port) } };
}

export function metricsPort(address: MetricsAddress | undefined): PortWish[] {
  return address ? [{ flag: 'metrics-port', purpose: 'figures for operators', ...address }] : [];
}
