import { startGateway } from './gateway.ts';
import { GatewayError } from './gateway-error.ts';
import { installRepository, type Repository } from './servers/repository.ts';
import type { ServerCommand } from './servers/server.ts';

/** What the command hands to the process that stays. Over their channel: arguments and variables can be read by others. */
export interface DaemonSetup {
  servers: ServerCommand[];
  repositories: Repository[];
  token: string;
  port: number;
}

export type DaemonReport = { ready: true } | { error: string };

/** The process that stays behind `mcp-gateway --config`: takes its setup, reports how the start went, and goes on until it is told to end. */
export async function runDaemon(): Promise<void> {
  const setup = await new Promise<DaemonSetup>((resolve) => {
    process.once('message', (message) => resolve(message as DaemonSetup));
  });
  try {
    for (const repository of setup.repositories) await installRepository(repository);
    const gateway = await startGateway({
      ...setup,
      host: '0.0.0.0',
      log: (chunk) => process.stderr.write(chunk),
    });
    const end = () => {
      void Promise.resolve(gateway[Symbol.asyncDispose]()).finally(() => process.exit(0));
    };
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, end);
    await report({ ready: true });
  } catch (error) {
    if (!(error instanceof GatewayError)) console.error(error);
    await report({ error: (error as Error).message });
    process.exit(1);
  }
}

function report(message: DaemonReport): Promise<void> {
  return new Promise((resolve) => {
    if (!process.send) return resolve();
    process.send(message, () => resolve());
  });
}
