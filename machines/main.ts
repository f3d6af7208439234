// Follows the README on fresh virtual machines: npm run test:machines -- --help
import { mkdir } from 'node:fs/promises';
import { packLayers } from './image/layers.ts';
import { hostNetwork } from './network.ts';
import { DEFAULT_CACHE_DIR, type MachineTestOptions, parseOptions, UsageError } from './options.ts';
import { installRequirements } from './requirements.ts';
import { type Result, runScenario } from './run-scenario.ts';
import { scenarios } from './scenarios/scenarios.ts';
import { bundleSource } from './source.ts';

const USAGE = `Starts fresh virtual machines under QEMU, and does on each what a new user does, over ssh.

  npm run test:machines -- [--only <name>[,<name>…]] [--list] [--json]

  --only    these machines only; --list names them
  --json    one JSON object a machine on standard output; progress goes to standard error in any case
  --cache   where images of disks are kept (${DEFAULT_CACHE_DIR}); 3 GiB each
  --accel   tcg: translated, which works everywhere (default); kvm: where guests run under it
  --memory  of a machine, in MiB (4096)
  --lend-layers
            machines get the Debian root file systems that an Islet of this host has made, instead of making them at their first
            start, which takes more than half an hour if translated

What is tested is the last commit. Needs root, Debian's mirror and npm's registry. Translated, a boot takes a minute and a first
start ten to twenty. Exits with 1 where anything failed, and prints the machine's journal and Islet's output then.
`;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** By the shell's convention for SIGINT. */
const EXIT_INTERRUPTED = 130;

function interruptible(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => controller.abort(new Error(`interrupted by ${name}`)));
  }
  return controller.signal;
}

const say = (text: string) => process.stderr.write(`${text}\n`);

async function test(options: MachineTestOptions, signal: AbortSignal): Promise<number> {
  await installRequirements(signal, say);
  await mkdir(options.cacheDir, { recursive: true });
  const source = await bundleSource(options.cacheDir, signal);
  say(`testing ${source.commit.slice(0, 12)}${source.isClean ? '' : '; what is not committed is not in it'}`);
  const network = await hostNetwork(signal);
  const layers = options.lendLayers ? await packLayers(options.cacheDir, signal) : undefined;
  const results: Result[] = [];
  for (const scenario of chosen(options)) {
    const result = await runScenario(scenario, { options, source, network, layers, signal, say });
    results.push(result);
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  }
  const failed = results.filter(({ passed }) => !passed).length;
  if (!options.json) process.stdout.write(`\n${results.length - failed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : EXIT_FAILED;
}

/** @throws UsageError if there is none of a name */
function chosen({ only }: MachineTestOptions) {
  const names = scenarios.map(({ name }) => name);
  const unknown = only.find((name) => !names.includes(name));
  if (unknown) throw new UsageError(`there is no machine '${unknown}'; there are ${names.join(', ')}`);
  return only.length === 0 ? scenarios : scenarios.filter(({ name }) => only.includes(name));
}

async function main(args: readonly string[], signal: AbortSignal): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (options.list) {
    for (const { name, description } of chosen(options))
      process.stdout.write(`${name.padEnd(20)}${description}\n`);
    return 0;
  }
  chosen(options);
  return test(options, signal);
}

const signal = interruptible();
try {
  process.exitCode = await main(process.argv.slice(2), signal);
} catch (error) {
  const isUsage = error instanceof UsageError;
  say(
    isUsage || signal.aborted ? (error as Error).message : `${error instanceof Error ? error.stack : error}`,
  );
  process.exitCode = signal.aborted ? EXIT_INTERRUPTED : isUsage ? EXIT_USAGE : EXIT_FAILED;
}
