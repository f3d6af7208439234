import { Deadline } from '@islet/contracts';
import { AwsClient } from 'aws4fetch';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { ImageCredentials } from '../builds/build-spec.ts';
import { ImageError } from './image-error.ts';

export interface Login {
  username: string;
  password: string;
}

/** Google's registries take a service account's key file as a password for this name. */
const GCP_USER = '_json_key';
const ECR_OPERATION = 'AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken';
const ECR_DEADLINE_MS = 30_000;
/** Longest answer; a token has some 3 KiB. */
const ECR_ANSWER_BYTES = 64 * 1024;
const EcrAnswer = Type.Object({
  authorizationData: Type.Array(Type.Object({ authorizationToken: Type.String() }), { minItems: 1 }),
});
const REGION = /^[a-z]{2}(?:-[a-z]+)+-\d$/;

/**
 * The name and password that a registry takes.
 * @throws ImageError if the credentials cannot be right, or AWS does not take them.
 */
export async function loginOf(credentials: ImageCredentials, signal: AbortSignal): Promise<Login> {
  switch (credentials.kind) {
    case 'basic': {
      const { username, password } = credentials;
      return { username, password };
    }
    case 'gcp':
      return { username: GCP_USER, password: serviceAccount(credentials.serviceAccountJson) };
    case 'aws': {
      if (!REGION.test(credentials.region)) {
        throw new ImageError(`'${credentials.region.slice(0, 64)}' is not an AWS region`);
      }
      const suffix = credentials.region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
      return ecrLogin(credentials, `https://api.ecr.${credentials.region}.${suffix}/`, signal);
    }
  }
}

function serviceAccount(json: string): string {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null && 'private_key' in value) return json;
  } catch {
    // Told below: the parser's own words would show parts of the key.
  }
  throw new ImageError('the registry credentials are not the JSON key of a Google service account');
}

/** Asks AWS for a registry password. The address is the API's in the region, see "Amazon ECR endpoints". */
export async function ecrLogin(
  credentials: Extract<ImageCredentials, { kind: 'aws' }>,
  address: string,
  signal: AbortSignal,
): Promise<Login> {
  const { accessKeyId, secretAccessKey, region } = credentials;
  const aws = new AwsClient({ accessKeyId, secretAccessKey, region, service: 'ecr', retries: 2 });
  using deadline = new Deadline(ECR_DEADLINE_MS, signal);
  const response = await aws
    .fetch(address, {
      method: 'POST',
      headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': ECR_OPERATION },
      body: '{}',
      signal: deadline.signal,
    })
    .catch((cause: unknown) => {
      signal.throwIfAborted();
      throw new ImageError(`AWS cannot be reached for a registry password in ${region}`, { cause });
    });
  if (!response.ok) {
    await response.body?.cancel();
    throw new ImageError(`AWS gives no registry password for these credentials (status ${response.status})`);
  }
  const token = tokenOf(await readAtMost(response, ECR_ANSWER_BYTES));
  const [username, password] = Buffer.from(token, 'base64').toString('utf8').split(':');
  if (!username || !password) throw new ImageError('AWS gave no registry password');
  return { username, password };
}

/** '' if the answer holds none. */
function tokenOf(text: string): string {
  try {
    const answer: unknown = JSON.parse(text);
    return Value.Check(EcrAnswer, answer) ? (answer.authorizationData[0]?.authorizationToken ?? '') : '';
  } catch {
    return '';
  }
}

/** The body, or '' if it is longer than allowed. */
async function readAtMost({ body }: Response, bytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.length;
    if (length > bytes) return '';
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
