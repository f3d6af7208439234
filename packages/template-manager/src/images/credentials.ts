import { AwsClient } from 'aws4fetch';
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
const REGION = /^[a-z]{2}(?:-[a-z]+)+-\d$/;

/**
 * The name and password that a registry takes.
 * @throws ImageError where the credentials cannot be right, or AWS does not take them.
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
  const response = await aws
    .fetch(address, {
      method: 'POST',
      headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': ECR_OPERATION },
      body: '{}',
      signal: AbortSignal.any([signal, AbortSignal.timeout(ECR_DEADLINE_MS)]),
    })
    .catch((cause: unknown) => {
      signal.throwIfAborted();
      throw new ImageError(`AWS cannot be reached for a registry password in ${region}`, { cause });
    });
  const text = await response.text();
  if (!response.ok) {
    throw new ImageError(`AWS gives no registry password for these credentials (status ${response.status})`);
  }
  const { authorizationData } = JSON.parse(text) as {
    authorizationData?: { authorizationToken?: string }[];
  };
  const [username, password] = Buffer.from(authorizationData?.[0]?.authorizationToken ?? '', 'base64')
    .toString('utf8')
    .split(':');
  if (!username || !password) throw new ImageError('AWS gave no registry password');
  return { username, password };
}
