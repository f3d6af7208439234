import { Sandbox } from 'e2b';
import type { InstanceAccess } from '../../e2e/setup/instance.ts';

const TIMEOUT_MS = 10 * 60_000;
/** envd's port in each sandbox, as the protocol has it. */
export const ENVD_PORT = 49_983;

/** What the official SDK is told of this Islet. */
export function sdkOptions({ apiUrl, sandboxUrl, apiKey }: InstanceAccess) {
  return { apiUrl, sandboxUrl, apiKey, timeoutMs: TIMEOUT_MS };
}

/** A sandbox for the time of one row. */
export async function withSandbox<T>(
  access: InstanceAccess,
  use: (sandbox: Sandbox) => Promise<T>,
): Promise<T> {
  const sandbox = await Sandbox.create(sdkOptions(access));
  try {
    return await use(sandbox);
  } finally {
    await sandbox.kill();
  }
}

/** The sandbox's own address, which only this host can reach. */
export async function addressOf(sandbox: Sandbox): Promise<string> {
  const { stdout } = await sandbox.commands.run('hostname -I');
  const address = /\d+\.\d+\.\d+\.\d+/.exec(stdout)?.[0];
  if (!address) throw new Error(`the sandbox knows no address of its own: ${stdout}`);
  return address;
}

/** The same sandbox, with the SDK's requests going straight to envd instead of through the edge. */
export function straightSandbox(
  access: InstanceAccess,
  sandboxId: string,
  address: string,
): Promise<Sandbox> {
  return Sandbox.connect(sandboxId, { ...sdkOptions(access), sandboxUrl: `http://${address}:${ENVD_PORT}` });
}
