import { type Emit, type HostEnd, HostEndedError, type LanguageHost } from '../hosts/host.ts';
import type { Language } from '../hosts/languages.ts';
import type { Generation } from '../sandbox/generation.ts';
import type { GlobalVariables } from '../sandbox/globals.ts';
import { interruptUntilOver } from './interruption.ts';
import { SerialQueue } from './queue.ts';

/** Executions that run or wait in one context. */
const MOST_EXECUTIONS = 64;

export interface ContextDeps {
  globals: GlobalVariables;
  generation: Generation;
  /** Of the server: what every host begins with. */
  env: Record<string, string>;
  /** Runs a cell while somebody looks after the sandbox's memory. */
  watched: <T>(cell: () => Promise<T>) => Promise<T>;
}

export interface Execution {
  code: string;
  env: Record<string, string>;
  accessToken: string | undefined;
  emit: Emit;
  /** Only the way there and back is gone: nothing of the code stays in the context. Does nothing once code has run. */
  isRehearsal: boolean;
  /** The client is gone: nobody hears what comes, and the next one must not wait for it. */
  gone: AbortSignal;
}

/** Why a cell did not come to its end: an output of it. */
interface Interruption {
  name: 'ContextRestarting' | 'ExecutionAborted';
  value: string;
}

const REMOVED: Interruption = { name: 'ExecutionAborted', value: 'Context was removed' };

/** State of a program that goes on from one execution to the next. Its process is replaced when it ends. */
export class Context {
  readonly #queue = new SerialQueue(MOST_EXECUTIONS);
  readonly #deps: ContextDeps;
  readonly #language: Language;
  #host: LanguageHost | undefined;
  /** What the client must hear before the next execution: the state is not what it was. */
  #notice: string | undefined;
  /** The copy of the sandbox whose variables the host has. */
  #preparedFor: string | undefined;
  #globals: Record<string, string> = {};
  /** Somebody's code has run. */
  #isUsed = false;
  /** The copy of the sandbox that the host's random numbers belong to. */
  #seededFor: string;
  /** What runs, and what was done to it. */
  #current: { interruption?: Interruption } | undefined;
  #removed = false;

  constructor(
    readonly id: string,
    language: Language,
    readonly cwd: string,
    deps: ContextDeps,
  ) {
    this.#language = language;
    this.#deps = deps;
    this.#seededFor = deps.generation.current();
  }

  get language(): string {
    return this.#language.name;
  }

  /** @throws HostStartError */
  async start(): Promise<void> {
    await this.#queue.run(() => this.#ready());
  }

  /** @throws TooManyError if no execution can wait here any more */
  admit(): void {
    this.#queue.admit();
  }

  /**
   * Runs code when those before it are over. What goes wrong with the code, or with the process, is an output.
   * @throws TooManyError as `admit`
   */
  async execute(execution: Execution): Promise<void> {
    await this.#queue.run(() => this.#run(execution), execution.gone);
  }

  /**
   * Ends what runs, and begins with an empty state in the same directory. Executions that wait run in the new one.
   * @throws HostStartError
   */
  async restart(): Promise<void> {
    this.#interrupt({ name: 'ContextRestarting', value: 'Context was restarted' });
    const old = this.#host;
    this.#host = undefined;
    await old?.close();
    await this.#queue.run(async () => {
      this.#notice = undefined;
      await this.#ready();
    });
  }

  /** Ends what runs; what waits is aborted. */
  async remove(): Promise<void> {
    this.#removed = true;
    this.#interrupt(REMOVED);
    await this.#host?.close();
  }

  /** Of what runs its code; undefined: nothing does. */
  get processGroup(): number | undefined {
    return this.#host?.processGroup;
  }

  /** Ends its process; the next execution begins with a new one. @param reason is told to the client */
  async endProcess(reason: string): Promise<void> {
    await this.#host?.close(reason);
  }

  /** Called when this may be another copy of the sandbox: random numbers must differ from its siblings', also while code runs. */
  async reseed(): Promise<void> {
    const now = this.#deps.generation.current();
    if (now === this.#seededFor || !this.#host) return;
    this.#seededFor = now;
    await this.#host.reseed();
  }

  async #run({ code, env, accessToken, isRehearsal, emit, gone }: Execution): Promise<void> {
    if (isRehearsal && this.#isUsed) return;
    this.#isUsed ||= !isRehearsal;
    const heard: Emit = (output) => (gone.aborted ? undefined : emit(output));
    if (this.#removed) return heard(errorOf(REMOVED));
    const current: { interruption?: Interruption } = {};
    this.#current = current;
    let over: () => void = () => undefined;
    let host: LanguageHost | undefined;
    try {
      host = await this.#ready();
      await this.reseed();
      const globals = await this.#freshGlobals(accessToken, isRehearsal);
      gone.throwIfAborted();
      if (this.#notice) await heard({ type: 'stderr', text: `${this.#notice}\n` });
      this.#notice = undefined;
      const envAfter = Object.fromEntries(
        Object.keys(env).map((name) => [name, this.#globals[name] ?? null]),
      );
      const running = host;
      over = interruptUntilOver(running, gone, () => this.#abandon(running));
      await this.#deps.watched(() =>
        running.execute({ code, env: { ...globals, ...env }, envAfter, isRehearsal }, heard),
      );
    } catch (error) {
      if (gone.aborted) return;
      if (error instanceof HostEndedError) {
        await host?.ended;
        // The error says it.
        this.#notice = undefined;
      }
      await heard(errorOf(current.interruption ?? reasonOf(error)));
    } finally {
      over();
      this.#current = undefined;
    }
  }

  #interrupt(interruption: Interruption): void {
    if (this.#current) this.#current.interruption = interruption;
  }

  /** A host that runs: the one there is, or a new one in its place. */
  async #ready(): Promise<LanguageHost> {
    if (this.#host) return this.#host;
    const host = this.#language.makeHost();
    this.#preparedFor = undefined;
    this.#seededFor = this.#deps.generation.current();
    this.#host = host;
    void host.ended.then((end) => this.#lost(host, end));
    try {
      await host.start({ cwd: this.cwd, env: this.#deps.env });
    } catch (error) {
      if (this.#host === host) this.#host = undefined;
      throw error;
    }
    return host;
  }

  /** A process that ends while a cell runs is an error of that cell; one that ends in between is news for the next. */
  #lost(host: LanguageHost, { reason }: HostEnd): void {
    if (this.#host !== host) return;
    this.#host = undefined;
    const how = reason === undefined ? 'had ended' : `was ended: ${reason}`;
    this.#notice = `The process of this context ${how}. It was started anew: variables and imports are lost.`;
  }

  /** The code would not be interrupted, and its client is gone. */
  async #abandon(host: LanguageHost): Promise<void> {
    if (this.#host === host) this.#host = undefined;
    this.#notice =
      'The code that ran before could not be interrupted, so its process was ended: variables and imports are lost.';
    await host.close();
  }

  /** The sandbox's variables, if the host has not got them yet: it is new, or in a new copy of the sandbox. */
  async #freshGlobals(
    accessToken: string | undefined,
    isRehearsal: boolean,
  ): Promise<Record<string, string>> {
    const now = this.#deps.generation.current();
    if (this.#preparedFor === now) return {};
    const globals = await this.#deps.globals.read(accessToken);
    // There are none of a sandbox that is nobody's yet.
    if (!globals || isRehearsal) return {};
    this.#preparedFor = now;
    this.#globals = globals;
    return globals;
  }
}

function reasonOf(error: unknown): { name: string; value: string } {
  if (!(error instanceof HostEndedError))
    return { name: 'UnexpectedEndOfExecution', value: (error as Error).message };
  const { code, signal, reason } = error.end;
  const byItself = signal === null ? `exited with code ${code}` : `was killed by ${signal}`;
  const why = signal === 'SIGKILL' ? ', as the system does when memory runs out' : '';
  const how = reason === undefined ? `${byItself}${why}` : `was ended: ${reason}`;
  return {
    name: 'UnexpectedEndOfExecution',
    value: `The process of the context ${how}. The next execution starts it anew, without its variables.`,
  };
}

function errorOf({ name, value }: { name: string; value: string }) {
  return { type: 'error', name, value, traceback: `${name}: ${value}` } as const;
}
