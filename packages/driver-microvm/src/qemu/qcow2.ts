import { open } from 'node:fs/promises';

const MAGIC = 0x514649fb;
const VERSION = 3;
const CLUSTER_BITS = 16;
const CLUSTER_BYTES = 1 << CLUSTER_BITS;
/** 16 bits a reference count: 2^4. */
const REFCOUNT_ORDER = 4;
const HEADER_BYTES = 104;
/** A table of the second level fills a cluster with entries of 8 bytes. */
const BYTES_PER_L1_ENTRY = CLUSTER_BYTES * (CLUSTER_BYTES / 8);

/** Where things are, in clusters. */
const REFCOUNT_TABLE = 1;
const REFCOUNT_BLOCK = 2;
const L1_TABLE = 3;

/**
 * Writes an empty qcow2 image (docs/interop/qcow2.txt of QEMU): all of it shows what lies below, which is named when it is
 * opened. Own code, since qemu-img comes in another package and takes longer to start than this to run.
 *
 * The file is given to the user `uid` by what is open of it, never by its name: in the folder of a machine that runs, whoever took its
 * VMM over may give that name to another file meanwhile, such as the template's.
 * @throws RangeError beyond 4 PiB, whose table would not fit into one cluster. Error if the file, or a link, is there.
 */
export async function writeEmptyQcow2(file: string, virtualBytes: number, uid: number): Promise<void> {
  const l1Entries = Math.ceil(virtualBytes / BYTES_PER_L1_ENTRY);
  if (l1Entries * 8 > CLUSTER_BYTES) throw new RangeError(`${virtualBytes} bytes are too many for an image`);
  const image = Buffer.alloc(4 * CLUSTER_BYTES);
  image.writeUInt32BE(MAGIC, 0);
  image.writeUInt32BE(VERSION, 4);
  image.writeUInt32BE(CLUSTER_BITS, 20);
  image.writeBigUInt64BE(BigInt(virtualBytes), 24);
  image.writeUInt32BE(l1Entries, 36);
  image.writeBigUInt64BE(BigInt(L1_TABLE * CLUSTER_BYTES), 40);
  image.writeBigUInt64BE(BigInt(REFCOUNT_TABLE * CLUSTER_BYTES), 48);
  image.writeUInt32BE(1, 56); // clusters of the reference count table
  image.writeUInt32BE(REFCOUNT_ORDER, 96);
  image.writeUInt32BE(HEADER_BYTES, 100);
  image.writeBigUInt64BE(BigInt(REFCOUNT_BLOCK * CLUSTER_BYTES), REFCOUNT_TABLE * CLUSTER_BYTES);
  for (let cluster = 0; cluster < 4; cluster++)
    image.writeUInt16BE(1, REFCOUNT_BLOCK * CLUSTER_BYTES + 2 * cluster);
  const created = await open(file, 'wx', 0o600);
  try {
    await created.writeFile(image);
    await created.chown(uid, uid);
  } finally {
    await created.close();
  }
}
