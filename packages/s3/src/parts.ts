import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { Deadline } from '@islet/contracts';

/** Servers take parts from 5 MiB on; one that fails is sent again alone. */
export const PART_BYTES = 8 * 1024 * 1024;

/** Longest wait for a server to forget an upload that has failed, ms. */
const FORGET_MS = 10_000;

export interface Target {
  Bucket: string;
  Key: string;
}

/** Puts what is larger than PART_BYTES in parts; it is there as a whole, or not at all. */
export async function putInParts(
  client: S3Client,
  target: Target,
  { content, metadata }: { content: Uint8Array; metadata: Record<string, string> },
  abortSignal: AbortSignal,
): Promise<void> {
  const begin = new CreateMultipartUploadCommand({
    ...target,
    Metadata: metadata,
    ChecksumAlgorithm: 'CRC32',
  });
  const { UploadId } = await client.send(begin, { abortSignal });
  const upload = { ...target, UploadId };
  try {
    const Parts: CompletedPart[] = [];
    for (let start = 0; start < content.length; start += PART_BYTES) {
      const PartNumber = Parts.length + 1;
      const Body = content.subarray(start, start + PART_BYTES);
      const send = new UploadPartCommand({ ...upload, PartNumber, Body, ChecksumAlgorithm: 'CRC32' });
      const { ETag, ChecksumCRC32 } = await client.send(send, { abortSignal });
      Parts.push({ PartNumber, ETag, ChecksumCRC32 });
    }
    await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }), {
      abortSignal,
    });
  } catch (error) {
    // If that fails as well, what is left is removed a day later.
    using time = new Deadline(FORGET_MS);
    const forget = client.send(new AbortMultipartUploadCommand(upload), { abortSignal: time.signal });
    await forget.catch(() => undefined);
    throw error;
  }
}

/** Removes what killed processes left unfinished. @param before Unix ms; what was begun later is left */
export async function removeAbandoned(
  client: S3Client,
  where: { Bucket: string; Prefix: string },
  { before }: { before: number },
  abortSignal: AbortSignal,
): Promise<void> {
  const { Bucket } = where;
  let next: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
  for (let isMore = true; isMore; ) {
    const page = await client.send(new ListMultipartUploadsCommand({ ...where, ...next }), { abortSignal });
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === undefined || !Initiated || Initiated.getTime() > before) continue;
      await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }), { abortSignal });
    }
    isMore = page.IsTruncated === true;
    next = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
  }
}
