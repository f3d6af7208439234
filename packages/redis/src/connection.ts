import { createHash } from 'node:crypto';
import { liveStoreUnavailable } from '@islet/contracts';
import { createClient, ErrorReply } from '@redis/client';

export interface RedisOptions {
  /** `redis://`, `rediss://` or `unix://`, with name and password if the server asks for them. */
  url: string;
  /** Before every key and channel, so that several Islets may share a server. Without characters of patterns. */
  prefix: string;
  /** Told of each failure of the connection, which is made again by itself. */
  onError: (error: unknown) => void;
  /** The connection is there again: the server may have lost all that it had. */
  onBack?: () => void;
}

/** Longest wait for a server to answer a command, or to greet, ms. The client itself waits for ever for what it has sent. */
const ANSWER_TIMEOUT_MS = 5_000;
/** How often one that only hears is asked whether it is there, ms. */
const PING_MS = 3_000;
/** Between tries to connect again, ms: twice as long after each, up to `most`. */
const AGAIN_MS = { least: 50, most: 1_000 };

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
  #client: RedisClient;
  #wasThere = false;

  private constructor(options: RedisOptions) {
    this.#options = options;
    this.#client = this.#newClient();
  }

  /** @throws Error if the server does not answer, or refuses */
  static async open(options: RedisOptions): Promise<RedisConnection> {
    const connection = new RedisConnection(options);
    try {
      await inTime(connection.#client.connect());
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      throw error;
    }
    return connection;
  }

  /** Names a key or a channel of this Islet. */
  key(...parts: readonly string[]): string {
    return [this.#options.prefix, ...parts].join(':');
  }

  /** Asks the server. @throws IsletError 503 if it does not answer */
  async ask<T>(question: (commands: RedisClient) => Promise<T>): Promise<T> {
    const client = this.#client;
    try {
      return await inTime(question(client), () => this.#replace(client));
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
    let pinging: NodeJS.Timeout | undefined;
    let isOver = false;
    const end = () => {
      isOver = true;
      clearInterval(pinging);
      client.destroy();
    };
    const lose = (error: unknown) => {
      if (isOver) return;
      end();
      onLost(error);
    };
    const client = openClient({ url: this.#options.url, onError: lose }, false);
    client.on('end', () => lose(new Error('the server has closed the connection')));
    const listener = (message: string) => {
      if (!isOver) onMessage(message);
    };
    try {
      await inTime(client.connect());
      await inTime(client.subscribe(channel, listener));
    } catch (error) {
      end();
      throw error;
    }
    // A server whose machine is gone says nothing, and nor does one that has nothing to say.
    pinging = setInterval(() => void inTime(client.ping()).catch(lose), PING_MS).unref();
    return end;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.destroy();
  }

  /** One that connects again whenever it breaks off; the first of all is to connect at once. */
  #newClient(): RedisClient {
    const client = openClient(this.#options, (retries) =>
      this.#wasThere ? Math.min(AGAIN_MS.least * 2 ** retries, AGAIN_MS.most) : false,
    );
    client.on('ready', () => {
      const isBack = this.#wasThere;
      this.#wasThere = true;
      if (isBack) this.#options.onBack?.();
    });
    return client;
  }

  /** Gives up a connection whose server says nothing: what is sent on it may be on its way for minutes. */
  #replace(client: RedisClient): void {
    if (client !== this.#client) return;
    this.#client = this.#newClient();
    client.destroy();
    this.#client.connect().catch(this.#options.onError);
  }
}

export type RedisClient = ReturnType<typeof openClient>;

function openClient(
  { url, onError }: Pick<RedisOptions, 'url' | 'onError'>,
  reconnectStrategy: false | ((retries: number) => number | false),
) {
  const socket = url.startsWith('unix://')
    ? { path: decodeURIComponent(url.slice('unix://'.length)), tls: false as const }
    : undefined;
  const client = createClient({
    ...(socket ? {} : { url }),
    socket: { ...socket, connectTimeout: ANSWER_TIMEOUT_MS, reconnectStrategy },
    disableOfflineQueue: true,
    maintNotifications: 'disabled',
  });
  client.on('error', onError);
  return client;
}

/** @throws Error if the answer takes longer than any may; `onLate` is called before */
async function inTime<T>(answer: Promise<T>, onLate: () => void = () => undefined): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`the server has not answered within ${ANSWER_TIMEOUT_MS} ms`));
      onLate();
    }, ANSWER_TIMEOUT_MS);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
