import { clone, fromJsonString, toJsonString } from '@bufbuild/protobuf';
import {
  envdAccessToken,
  orchestratorProto,
  parseSandbox,
  type Sandbox,
  trafficAccessToken,
} from '@islet/contracts';

const { SandboxSchema } = orchestratorProto;

/**
 * What is shown of a paused sandbox while its node is away, as a text for its row. Its variables and the password of its proxy are
 * left out, and of its tokens only stands that there are any: they are made of the seed.
 */
export function toShown(sandbox: Sandbox): string {
  const { config, ...rest } = clone(SandboxSchema, sandbox) as Sandbox;
  config.envVars = {};
  if (config.egress?.proxy) delete config.egress.proxy.password;
  if (config.envdAccessToken !== undefined) config.envdAccessToken = '';
  if (config.trafficAccessToken !== undefined) config.trafficAccessToken = '';
  return toJsonString(SandboxSchema, { ...rest, config });
}

/** The sandbox of a row. Undefined if the text is none of `toShown`. @param tokenSeed of the installation */
export function fromShown(text: string, tokenSeed: string): Sandbox | undefined {
  let sandbox: Sandbox | undefined;
  try {
    sandbox = parseSandbox(fromJsonString(SandboxSchema, text, { ignoreUnknownFields: true }));
  } catch {
    return undefined;
  }
  if (!sandbox) return undefined;
  const { config } = sandbox;
  const { sandboxId } = config;
  if (config.envdAccessToken !== undefined) config.envdAccessToken = envdAccessToken(tokenSeed, sandboxId);
  if (config.trafficAccessToken !== undefined)
    config.trafficAccessToken = trafficAccessToken(tokenSeed, sandboxId);
  return sandbox;
}
