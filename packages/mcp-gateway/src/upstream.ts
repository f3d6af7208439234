import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import {
  LoggingMessageNotificationSchema,
  PromptListChangedNotificationSchema,
  ResourceListChangedNotificationSchema,
  type ServerNotification,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { GatewayError } from './gateway-error.ts';
import type { ServerCommand } from './servers/server.ts';

/** Until a server's program answers `initialize`. The SDK waits a minute for all of them. */
const START_MS = 45_000;
/** The longest message of a server, bytes. */
const MESSAGE_BYTES = 16 * 1024 * 1024;
/** Of what a server says on stderr, for the message of its failure. */
const SHOWN_CHARACTERS = 2_000;

const FORWARDED = [
  LoggingMessageNotificationSchema,
  PromptListChangedNotificationSchema,
  ResourceListChangedNotificationSchema,
  ToolListChangedNotificationSchema,
];

export interface UpstreamEvents {
  notification(notification: ServerNotification): void;
  /** What the program writes to stderr. */
  log(chunk: Buffer): void;
  ended(): void;
}

/** A server's program, and the gateway's connection to it. A program that has ended is started again by the next use. */
export class Upstream {
  readonly name: string;
  readonly #command: ServerCommand;
  readonly #events: UpstreamEvents;
  #client: Promise<Client> | undefined;

  constructor(command: ServerCommand, events: UpstreamEvents) {
    this.name = command.name;
    this.#command = command;
    this.#events = events;
  }

  /** @throws GatewayError with the end of what the program said, if it does not start. */
  client(): Promise<Client> {
    this.#client ??= this.#connect();
    return this.#client;
  }

  async close(): Promise<void> {
    const client = await this.#client?.catch(() => undefined);
    await client?.close();
  }

  async #connect(): Promise<Client> {
    const { command, args, env, cwd } = this.#command;
    const transport = new StdioClientTransport({
      ...{ command, args, env, cwd },
      stderr: 'pipe',
      maxBufferSize: MESSAGE_BYTES,
    });
    let said = '';
    transport.stderr?.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-SHOWN_CHARACTERS);
      this.#events.log(chunk);
    });
    const client = new Client({ name: 'islet-mcp-gateway', version: '1.0.0' }, { capabilities: {} });
    for (const schema of FORWARDED) client.setNotificationHandler(schema, this.#events.notification);
    client.onclose = () => {
      this.#client = undefined;
      this.#events.ended();
    };
    try {
      await client.connect(transport, { timeout: START_MS });
    } catch (error) {
      this.#client = undefined;
      await client.close();
      const details = said.trim() || (error as Error).message;
      throw new GatewayError(`the MCP server "${this.name}" did not start: ${details}`, { cause: error });
    }
    return client;
  }
}
