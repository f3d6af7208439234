import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { createS3Client } from '../src/client.ts';

/** Debian's own, whose packages Swift is one of. */
const PYTHON = '/usr/bin/python3';
const PROGRAM = fileURLToPath(new URL('swift_server.py', import.meta.url));

/** A user of Swift has an account before the colon. */
const KEYS = { accessKeyId: 'test:islet', secretAccessKey: 'open-to-all-tests' };

export interface TestServerPlace {
  /** Where it listens; the loopback address if it is absent. */
  host?: string;
  /** The file of the network namespace that it runs in. */
  netns?: string;
}

/** An OpenStack Swift of its own with its S3 API; what it has lies below the system's temporary directory. */
export class TestServer implements AsyncDisposable {
  /** For any process that is to use it. */
  static readonly env = {
    AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
    AWS_REGION: 'us-east-1',
  };
  /** A key that may do nothing, with the same secret. */
  static readonly guest = 'test:guest';
  readonly url: string;
  readonly #dir: string;
  readonly #place: TestServerPlace;
  #process: ChildProcess;

  private constructor(launched: { url: string; process: ChildProcess }, dir: string, place: TestServerPlace) {
    this.url = launched.url;
    this.#process = launched.process;
    this.#dir = dir;
    this.#place = place;
  }

  static async start(place: TestServerPlace = {}): Promise<TestServer> {
    const dir = await mkdtemp(join(tmpdir(), 'islet-swift-'));
    return new TestServer(await launch(dir, place), dir, place);
  }

  async createBucket(name: string): Promise<void> {
    const region = TestServer.env.AWS_REGION;
    const client = createS3Client({ endpoint: this.url, region, pathStyle: true }, KEYS);
    try {
      await client.send(new CreateBucketCommand({ Bucket: name }));
    } finally {
      client.destroy();
    }
  }

  /** Ends it as a loss of power would. */
  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    if (this.#process.kill('SIGKILL')) await ended;
  }

  /** Starts it again after `stop`, with all that it had, at the same address. */
  async restart(): Promise<void> {
    this.#process = (await launch(this.#dir, this.#place)).process;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

/** Starts it and waits until it serves. */
async function launch(
  dir: string,
  { host, netns }: TestServerPlace,
): Promise<{ url: string; process: ChildProcess }> {
  const args = [PROGRAM, dir, KEYS.accessKeyId, KEYS.secretAccessKey, ...(host === undefined ? [] : [host])];
  const [file = PYTHON, ...words] = [
    ...(netns === undefined ? [] : ['nsenter', `--net=${netns}`]),
    PYTHON,
    ...args,
  ];
  // It ends when its standard input does, that is with this process.
  const server = spawn(file, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  for await (const url of createInterface(server.stdout)) {
    server.stdout.resume();
    return { url, process: server };
  }
  throw new Error('Swift ended before it was ready: is python3-swift installed?');
}
