import { readFile } from 'node:fs/promises';
import { agent, installSdk, RunningIslet } from '../guest/islet.ts';
import { expectNothingLeft, residue } from '../guest/residue.ts';
import { CHECKOUT } from '../image/prepared.ts';
import { readmeCurl } from '../source.ts';
import type { Machine } from '../vm/machine.ts';
import type { Context } from './scenario.ts';

const UP = 'cd islet && ./islet up';
const CURL_MS = 15 * 60_000;
/** Where machines find the repository. */
const REPOSITORY = '/srv/islet.bundle';

/** The README's first lines, word by word: clone and start. */
export async function followReadme({ machine, source, step, signal }: Context): Promise<RunningIslet> {
  await machine.write(REPOSITORY, await readFile(source.bundle));
  await machine.root.run(`chmod 644 ${REPOSITORY}`, { signal, timeoutMs: CURL_MS });
  const command = `git clone ${REPOSITORY} islet && cd islet && ./islet up`;
  return step(command, () => RunningIslet.start(machine.user, command, { signal, isFirst: true }));
}

/** The README's curl command, which must be answered with 201. @returns the sandbox's id */
export async function firstSandbox(machine: Machine, signal: AbortSignal): Promise<string> {
  const curl = (await readmeCurl()).replace(/^curl /, "curl -sS -w '\\n%{http_code}' ");
  const answer = await machine.user.run(curl, { signal, timeoutMs: CURL_MS });
  const { sandboxID } = answer.endsWith('\n201')
    ? (JSON.parse(answer.slice(0, -4)) as { sandboxID?: string })
    : {};
  if (!sandboxID) throw new Error(`the curl command was answered:\n${answer}`);
  return sandboxID;
}

/** Boot, first start, curl, a command: what must never break. */
export async function shortForm(context: Context): Promise<void> {
  const { machine, step, signal } = context;
  await using islet = await followReadme(context);
  const id = await step('the curl command: 201', () => firstSandbox(machine, signal));
  await step('npm i e2b', () => installSdk(machine, signal));
  await step('a command in that sandbox', () => agent(machine, islet, ['command', id], signal));
  await step('Ctrl-C', () => islet.stop());
}

/** How a first day begins. */
interface Beginning {
  firstStart: () => Promise<RunningIslet>;
  getSdk: () => Promise<void>;
}

/** The README word by word, and all that a first day brings. */
export function fullForm(context: Context): Promise<void> {
  const { machine, step, signal } = context;
  return firstDay(context, {
    firstStart: () => followReadme(context),
    getSdk: () => step('npm i e2b', () => installSdk(machine, signal)),
  });
}

/** The same on a machine where `./islet setup` has been run; the SDK is that of the checkout. */
export function setUpForm(context: Context): Promise<void> {
  const { machine, step, signal } = context;
  return firstDay(context, {
    firstStart: () => step(UP, () => RunningIslet.start(machine.user, UP, { signal, isFirst: true })),
    getSdk: () => installSdk(machine, signal, CHECKOUT),
  });
}

/** A first start, curl, the SDK's core, restarts of Islet and of the machine, and what stops leave. */
async function firstDay(context: Context, { firstStart, getSdk }: Beginning): Promise<void> {
  const { machine, step, signal, note } = context;
  const restart = () =>
    step('./islet up', () => RunningIslet.start(machine.user, UP, { signal, isFirst: false }));
  const find = (islet: RunningIslet, id: string) =>
    step('a paused sandbox comes back: file, process, memory', () =>
      agent(machine, islet, ['find', id], signal),
    );
  const stop = (islet: RunningIslet, before: readonly string[]) =>
    step('Ctrl-C leaves nothing', async () => {
      await islet.stop();
      expectNothingLeft(before, await residue(machine, signal));
    });

  const fresh = await residue(machine, signal);
  let left: string;
  {
    await using islet = await firstStart();
    const id = await step('the curl command: 201', () => firstSandbox(machine, signal));
    await getSdk();
    await step('a command in that sandbox', () => agent(machine, islet, ['command', id], signal));
    const { passed } = await step("the SDK's core", () => agent(machine, islet, ['core'], signal));
    note(`passed: ${(passed as string[]).join(', ')}`);
    left = await step('a sandbox is paused', () => leave(machine, islet, signal));
    await stop(islet, fresh);
  }
  {
    await using islet = await restart();
    await find(islet, left);
    left = await step('another one is paused', () => leave(machine, islet, signal));
    // Islet is in the middle of its work.
    await step('the machine is rebooted', () => machine.reboot());
  }
  const rebooted = await residue(machine, signal);
  {
    await using islet = await restart();
    await find(islet, left);
    await stop(islet, rebooted);
  }
  await step('./islet doctor', () =>
    machine.user.run('cd islet && ./islet doctor', { signal, timeoutMs: CURL_MS }),
  );
}

async function leave(machine: Machine, islet: RunningIslet, signal: AbortSignal): Promise<string> {
  const { sandboxId } = await agent(machine, islet, ['leave'], signal);
  return sandboxId as string;
}
