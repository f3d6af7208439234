import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { EgressVerdict } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import { Channel } from '../control/channel.ts';
import { type FromGateway, fromGatewayMessage, type ToGateway } from '../control/messages.ts';
import type { Credentials } from '../credentials.ts';
import type { GatedSandbox } from '../policy.ts';
import { CONTROL_DESCRIPTOR } from './descriptors.ts';
import { confinedCommand } from './privileges.ts';

export interface GatewayProcessOptions {
  program: string;
  /** Of the socket that it accepts connections from. */
  descriptor: number;
  logger: Logger;
  nameservers: readonly string[] | undefined;
  /** Whom it may ask credentials for. */
  sandboxes: ReadonlyMap<string, GatedSandbox>;
  onVerdicts: (batch: EgressVerdict[]) => void;
  credentials: Credentials;
  onEnd: () => void;
}

/** What is done before it is answered. */
type Request =
  | { type: 'set'; sandbox: GatedSandbox }
  | { type: 'remove'; address: string }
  | { type: 'listen' };

type Ask = Extract<FromGateway, { type: 'ask' }>;
/** What an ask is answered with. */
type Found = { value: string; version?: number };

/** For an answer, ms: one that hangs is ended, so that what it would have forbidden ends with it. */
const ANSWER_MS = 10_000;
/** Longest message of its, bytes. */
const MOST_MESSAGE_BYTES = 4 * 1024 * 1024;
/** Credentials that are being looked for. */
const MOST_ASKED = 1_024;
/** Of its own complaints, such as the stack that it ended with. */
const MOST_LOGGED_CHARACTERS = 2_000;

/** One process of the gateway, from its start to its end. */
export class GatewayProcess {
  readonly #options: GatewayProcessOptions;
  readonly #child: ChildProcess;
  readonly #channel: Channel<FromGateway, ToGateway>;
  readonly #pending = new Map<number, { resolve: () => void; timer: NodeJS.Timeout }>();
  readonly #ended: Promise<unknown>;
  #hasEnded = false;
  #nextId = 0;
  #asked = 0;

  constructor(options: GatewayProcessOptions) {
    this.#options = options;
    const { file, args } = confinedCommand(process.execPath, options.program);
    const { PATH, NODE_EXTRA_CA_CERTS } = process.env;
    this.#child = spawn(file, args, {
      stdio: ['ignore', 'ignore', 'pipe', options.descriptor, 'pipe'],
      env: { PATH, ...(NODE_EXTRA_CA_CERTS ? { NODE_EXTRA_CA_CERTS } : {}) },
      cwd: '/',
    });
    this.#channel = new Channel(this.#child.stdio[CONTROL_DESCRIPTOR] as Socket, {
      shape: fromGatewayMessage,
      mostBytes: MOST_MESSAGE_BYTES,
      onMessage: (message) => this.#onMessage(message),
      onEnd: (error) => this.#kill(error),
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      options.logger.warn({ text: text.slice(0, MOST_LOGGED_CHARACTERS) }, 'the egress gateway complains');
    });
    this.#child.on('error', (error) => options.logger.error({ err: error }, 'no egress gateway'));
    this.#ended = once(this.#child, 'close').catch(() => undefined);
    void this.#ended.then(() => this.#onEnd());
    const { nameservers } = options;
    this.#channel.send({ type: 'start', ...(nameservers ? { nameservers: [...nameservers] } : {}) });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Resolves when it is done, or the process has ended: nothing gets through it then. */
  ask(request: Request): Promise<void> {
    if (this.#hasEnded) return Promise.resolve();
    const id = this.#nextId++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#kill(new Error('it does not answer')), ANSWER_MS);
      this.#pending.set(id, { resolve, timer: timer.unref() });
      this.#channel.send({ ...request, id } as ToGateway);
    });
  }

  async end(): Promise<void> {
    this.#channel.close();
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  #onMessage(message: FromGateway): void {
    switch (message.type) {
      case 'done': {
        const pending = this.#pending.get(message.id);
        this.#pending.delete(message.id);
        clearTimeout(pending?.timer);
        pending?.resolve();
        return;
      }
      case 'verdicts':
        this.#options.onVerdicts(message.batch);
        return;
      case 'failure':
        this.#options.logger.warn({ text: message.message }, 'the egress gateway failed at something');
        return;
      case 'ask':
        void this.#answer(message);
        return;
    }
  }

  async #answer({ about, id, name, of }: Ask): Promise<void> {
    if (this.#asked >= MOST_ASKED) {
      this.#channel.send({ type: 'answer', id, failed: true });
      return;
    }
    this.#asked++;
    try {
      const found = await this.#find(about, of, name);
      this.#channel.send({ type: 'answer', id, ...found });
    } catch (error) {
      this.#options.logger.error({ err: error }, `a ${about} for an egress rule could not be had`);
      this.#channel.send({ type: 'answer', id, failed: true });
    } finally {
      this.#asked--;
    }
  }

  #find(about: Ask['about'], of: string, name: string): Promise<Found | undefined> {
    switch (about) {
      case 'secret':
        return this.#secret(of, name);
      case 'token':
        return this.#token(of, name);
      case 'certificate':
        return this.#certificate(of, name);
    }
  }

  async #secret(teamId: string, name: string): Promise<{ value: string; version: number } | undefined> {
    const isHere = [...this.#options.sandboxes.values()].some((sandbox) => sandbox.teamId === teamId);
    return isHere ? await this.#options.credentials.secret(teamId, name) : undefined;
  }

  async #token(address: string, name: string): Promise<{ value: string } | undefined> {
    const sandbox = this.#options.sandboxes.get(address);
    const value = sandbox && (await this.#options.credentials.token(sandbox, name));
    return value === undefined ? undefined : { value };
  }

  /** For no domain but those of rules. */
  async #certificate(domain: string, publicKey: string): Promise<{ value: string } | undefined> {
    const isRule = [...this.#options.sandboxes.values()].some(({ policy }) =>
      policy.rules.some((rule) => rule.domain === domain),
    );
    const value = isRule ? await this.#options.credentials.certificate(domain, publicKey) : undefined;
    return value === undefined ? undefined : { value };
  }

  #kill(error?: Error): void {
    if (error) this.#options.logger.error({ err: error }, 'the egress gateway is ended');
    this.#channel.close();
    this.#child.kill('SIGKILL');
  }

  #onEnd(): void {
    this.#hasEnded = true;
    for (const { resolve, timer } of this.#pending.values()) {
      clearTimeout(timer);
      resolve();
    }
    this.#pending.clear();
    this.#options.onEnd();
  }
}
