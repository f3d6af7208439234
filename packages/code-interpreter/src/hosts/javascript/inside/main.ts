import { Worker } from 'node:worker_threads';
import type { ExecuteMessage } from '../../process/messages.ts';
import { prepareCell } from './cell.ts';
import { say } from './channel.ts';
import { errorOutput, interrupted } from './errors.ts';
import { evaluate, prepareGlobals } from './evaluate.ts';
import { bundleOf } from './formats.ts';
import { printAtOnce } from './output.ts';
import { openReseedOfOpenssl, Randomness } from './randomness.ts';

/** What the server says, see `process/messages.ts`. */
type Told = ExecuteMessage | { type: 'interrupt' };

const answered = new Int32Array(new SharedArrayBuffer(4));
const randomness = new Randomness();
const reseedOpenssl = openReseedOfOpenssl();
const strip = process.argv[2] === 'typescript' ? (await import('./typescript.ts')).stripTypes : undefined;
let count = 0;
/** Ends the cell that runs with an interrupt; undefined between cells. */
let abandon: (() => void) | undefined;

printAtOnce();
/** Values say how they look, which may take its time; they come in the order of their calls. */
let displaying: Promise<void> = Promise.resolve();
prepareGlobals((value) => {
  displaying = displaying
    .then(async () => say({ type: 'result', main: false, data: await bundleOf(value) }))
    .catch((error: unknown) => say(errorOutput(error, '')));
});

function reseed(): void {
  randomness.reseed();
  reseedOpenssl?.();
}

async function execute({ code, env, envAfter, isRehearsal, reseed: isCopy }: ExecuteMessage): Promise<void> {
  if (isCopy) reseed();
  setVariables(env);
  if (!isRehearsal) count++;
  say({ type: 'count', executionCount: count });
  const outputs = await new Promise<unknown[]>((resolve) => {
    // What is abandoned may go on later, since promises cannot be taken back; its outcome is not waited for.
    abandon = () => resolve([interrupted()]);
    // On a turn of its own: where V8 ends a script, it ends all that is on the stack.
    setImmediate(() => run(code).then(resolve));
  });
  abandon = undefined;
  for (const output of outputs) say(output);
  setVariables(envAfter);
  say({ type: 'done' });
}

async function run(code: string): Promise<unknown[]> {
  try {
    const value = await evaluate(prepareCell(strip ? strip(code) : code), count);
    await displaying;
    return value === undefined ? [] : [{ type: 'result', main: true, data: await bundleOf(value) }];
  } catch (error) {
    await displaying;
    const isInterrupted = (error as NodeJS.ErrnoException)?.code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED';
    return [isInterrupted ? interrupted() : errorOutput(error, code)];
  }
}

function setVariables(variables: Record<string, string | null>): void {
  for (const [name, value] of Object.entries(variables)) {
    if (value === null) delete process.env[name];
    else process.env[name] = value;
  }
}

process.on('SIGURG', reseed);
// Children of a cell get it as well, and end by it; this process is told by a message.
process.on('SIGINT', () => {});
process.on('uncaughtException', (error) => console.error('Uncaught', error));
process.on('unhandledRejection', (error) => console.error('Uncaught (in promise)', error));

const watcher = new Worker(new URL('./watcher.mjs', import.meta.url), {
  workerData: { answered },
  stdin: false,
});
watcher.on('message', (message: Told) => {
  Atomics.add(answered, 0, 1);
  if (message.type === 'interrupt') abandon?.();
  else void execute(message);
});
watcher.once('online', () => {
  void rehearse().then(() => say({ type: 'ready' }));
});

/** Does what a first cell does, so that it takes no longer than the second. */
async function rehearse(): Promise<void> {
  for (const code of ['0', 'await ({ a: [1.5] })']) {
    await bundleOf(await evaluate(prepareCell(strip ? strip(code) : code), 0));
  }
}
