import { S3Client } from '@aws-sdk/client-s3';
import { capAnswers } from './answer-cap.ts';
import type { S3Place } from './place.ts';

/** Of one request, ms: a server that is not there is found out in seconds, one that stands still too. */
const CONNECT_MS = 3_000;
const SILENCE_MS = 10_000;

/** Of each request; between tries the client waits for random times that grow. */
const TRIES = 3;

/** As many requests as a node may have under way. */
const SOCKETS = 64;

/** Has the client not warn of every Node.js that its later versions may not run on: this version is fixed. */
const QUIET = 'AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED';

/** Knows nothing of the server yet. @param credentials else those that Amazon's tools find */
export function createS3Client(
  { endpoint, region, pathStyle }: Omit<S3Place, 'bucket' | 'prefix'>,
  credentials?: { accessKeyId: string; secretAccessKey: string },
): S3Client {
  process.env[QUIET] ??= 'true';
  const client = new S3Client({
    ...(endpoint !== undefined && { endpoint }),
    ...(region !== undefined && { region }),
    ...(credentials && { credentials }),
    forcePathStyle: pathStyle,
    maxAttempts: TRIES,
    retryMode: 'standard',
    // The server checks what it is given; what it gives is checked here, whatever it says of it.
    requestChecksumCalculation: 'WHEN_SUPPORTED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      socketTimeout: SILENCE_MS,
      httpAgent: { keepAlive: true, maxSockets: SOCKETS },
      httpsAgent: { keepAlive: true, maxSockets: SOCKETS },
    },
  });
  capAnswers(client);
  return client;
}
