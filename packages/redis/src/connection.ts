import { createHash } from 'node:crypto';
import { liveStoreUnavailable } from '@islet/contracts';
import { createClient, ErrorReply } from '@redis/client';

export interface RedisOptions {
  /** `redis://`, `rediss://` or `unix://`, with name and password if the server asks for them. */
  url: string;
  /** Before every key and channel, so that several Islets may share a server. */
  prefix: string;
  /** Told of each failure of the connection, which is made again by itself. */
  onError: (error: unknown) => void;
  /** The connection is there again: the server may have lost all that it had. */
  onBack?: () => void;
}

/** Longest wait for a server to answer a command, ms. */
const ANSWER_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Between tries to connect again, ms: twice as long after each, up to the second. */
const AGAIN_MS = { least: 50, most: 2_000 };

/** A script that the server runs in one step. */
export interface Script {
  text: string;
  sha1: string;
}

export function defineScript(text: string): Script {
  return { text, sha1: createHash('sha1').update(text).digest('hex') };
}

/**
 * A connection with one Redis or Valkey, which is no cluster of several primaries: scripts find keys by what they read.
 * While it is down commands fail at once, and it comes back by itself.
 */
export class RedisConnection implements AsyncDisposable {
  readonly #options: RedisOptions;
  readonly #client: RedisClient;

  private constructor(options: RedisOptions, client: RedisClient) {
    this.#options = options;
    this.#client = client;
  }

  /** @throws Error if the server does not answer, or refuses */
  static async open(options: RedisOptions): Promise<RedisConnection> {
    let wasThere = false;
    const client = openClient(
      options,
      (retries) => wasThere && Math.min(AGAIN_MS.least * 2 ** retries, AGAIN_MS.most),
    );
    client.on('ready', () => {
      if (wasThere) options.onBack?.();
      wasThere = true;
    });
    await client.connect();
    return new RedisConnection(options, client);
  }

  /** Names a key or a channel of this Islet. */
  key(...parts: readonly string[]): string {
    return [this.#options.prefix, ...parts].join(':');
  }

  /** Asks the server. @throws IsletError 503 if it does not answer */
  async ask<T>(question: (commands: RedisClient) => Promise<T>): Promise<T> {
    try {
      return await question(this.#client);
    } catch (error) {
      throw liveStoreUnavailable(error);
    }
  }

  /** Runs a script; the server is sent its text only if it has not got it. @throws IsletError 503 as `ask` */
  run({ sha1, text }: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    const given = { keys: [...keys], arguments: args.map(String) };
    return this.ask(async (commands) => {
      try {
        return await commands.evalSha(sha1, given);
      } catch (error) {
        // The first word of an error reply is its code.
        if (!(error instanceof ErrorReply) || !error.message.startsWith('NOSCRIPT ')) throw error;
        return await commands.eval(text, given);
      }
    });
  }

  /**
   * Hears a channel over a connection of its own, which is not made again when it breaks off.
   * @param onLost called once, unless it is ended
   * @returns how to end it
   */
  async subscribe(
    channel: string,
    onMessage: (message: string) => void,
    onLost: (error: unknown) => void,
  ): Promise<() => void> {
    let isOver = false;
    const lose = (error: unknown) => {
      if (isOver) return;
      isOver = true;
      onLost(error);
    };
    const client = openClient({ url: this.#options.url, onError: lose }, false);
    client.on('end', () => lose(new Error('the server has closed the connection')));
    await client.connect();
    await client.subscribe(channel, (message) => {
      if (!isOver) onMessage(message);
    });
    return () => {
      isOver = true;
      client.destroy();
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#client.isOpen) this.#client.destroy();
  }
}

export type RedisClient = ReturnType<typeof openClient>;

function openClient(
  { url, onError }: Pick<RedisOptions, 'url' | 'onError'>,
  reconnectStrategy: false | ((retries: number) => number | false),
) {
  const socket = url.startsWith('unix://')
    ? { path: url.slice('unix://'.length), tls: false as const }
    : undefined;
  const client = createClient({
    ...(socket ? {} : { url }),
    socket: { ...socket, connectTimeout: CONNECT_TIMEOUT_MS, reconnectStrategy },
    disableOfflineQueue: true,
    commandOptions: { timeout: ANSWER_TIMEOUT_MS },
    maintNotifications: 'disabled',
  });
  client.on('error', onError);
  return client;
}
