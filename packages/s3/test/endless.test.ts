import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { StoreUnavailableError } from '@islet/snapshots';
import { afterEach, expect, it } from 'vitest';
import { createS3Client } from '../src/client.ts';
import { S3Objects } from '../src/s3-objects.ts';

const MOST = 50;
const CREDENTIALS = { accessKeyId: 'a', secretAccessKey: 'b' };

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A store whose server answers every list so. */
async function storeOf(answer: RequestListener): Promise<S3Objects> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const place = { bucket: 'b', prefix: '', endpoint, region: 'us-east-1', pathStyle: true };
  const client = createS3Client(place, CREDENTIALS);
  closing.push(() => {
    client.destroy();
    server.closeAllConnections();
    server.close();
  });
  return new S3Objects(place, client, MOST);
}

const page = (objects: string, next: string) =>
  `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated>${objects}<NextContinuationToken>${next}</NextContinuationToken></ListBucketResult>`;
const object = (number: number) =>
  `<Contents><Key>chunks/o${number}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>1</Size></Contents>`;

/** How many come before the list is broken off. */
async function listed(store: S3Objects): Promise<number> {
  let count = 0;
  const list = async () => {
    for await (const _ of store.list('chunks/')) count++;
  };
  await expect(list()).rejects.toThrow(StoreUnavailableError);
  return count;
}

it('breaks off a list that names ever more objects', async () => {
  let pages = 0;
  const store = await storeOf((_, response) => response.end(page(object(pages++), `after-${pages}`)));
  expect(await listed(store)).toBe(MOST);
  expect(pages).toBe(MOST + 1);
});

it('breaks off a list that leads back to the same page', async () => {
  let pages = 0;
  const store = await storeOf((_, response) => response.end(page(object(pages++), 'same')));
  expect(await listed(store)).toBe(1);
});

it('breaks off a list whose pages are empty', async () => {
  let pages = 0;
  const store = await storeOf((_, response) => response.end(page('', `after-${pages++}`)));
  expect(await listed(store)).toBe(0);
});

it('breaks off an answer that does not end', async () => {
  let bytes = 0;
  const store = await storeOf((_, response) => {
    const piece = Buffer.alloc(1024 * 1024, ' ');
    response.write('<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>');
    const write = () => {
      while (!response.destroyed && response.write(piece)) bytes += piece.length;
      bytes += piece.length;
    };
    response.on('drain', write);
    write();
  });
  expect(await listed(store)).toBe(0);
  // It is tried three times, and what is on its way is small.
  expect(bytes).toBeLessThan(200 * 1024 * 1024);
});
