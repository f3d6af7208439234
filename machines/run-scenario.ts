import { ensureImage, type Image } from './image/image.ts';
import { UNPACK_LAYERS } from './image/layers.ts';
import { prepared } from './image/prepared.ts';
import { DEBIAN_13 } from './image/recipe.ts';
import type { HostNetwork } from './network.ts';
import type { MachineTestOptions } from './options.ts';
import type { Scenario } from './scenarios/scenario.ts';
import type { Source } from './source.ts';
import { Machine } from './vm/machine.ts';

export interface RunOptions {
  options: MachineTestOptions;
  source: Source;
  network: HostNetwork;
  /** An archive of {@link packLayers}. */
  layers: string | undefined;
  signal: AbortSignal;
  say: (text: string) => void;
}

/** What came of a machine. */
export interface Result {
  machine: string;
  commit: string;
  passed: boolean;
  seconds: number;
  steps: { title: string; seconds: number }[];
  notes: string[];
  error?: string;
}

const CORES = 2;
const LAYERS_MS = 60 * 60_000;
/** Of a line of a terminal, in the report of progress. */
const SHOWN_COLUMNS = 160;

/** Runs a scenario on a machine of its own. @throws only if it was interrupted */
export async function runScenario(scenario: Scenario, run: RunOptions): Promise<Result> {
  const { signal, say, source } = run;
  const result: Result = {
    machine: scenario.name,
    commit: source.commit,
    passed: false,
    seconds: 0,
    steps: [],
    notes: [],
  };
  const begin = performance.now();
  const secondsSince = (from: number) => Math.round((performance.now() - from) / 100) / 10;
  const tell = (text: string) => say(`${scenario.name} ${clock(performance.now() - begin)} ${text}`);
  const step = async <T>(title: string, work: () => Promise<T>): Promise<T> => {
    tell(`… ${title}`);
    const from = performance.now();
    const value = await work();
    result.steps.push({ title, seconds: secondsSince(from) });
    tell(`✓ ${title} (${secondsSince(from)} s)`);
    return value;
  };
  const note = (text: string) => {
    result.notes.push(text);
    tell(`  ${text}`);
  };
  try {
    const image = await imageOf(scenario, run);
    await using machine = await step('boot', () =>
      boot(scenario, image, run, (line) => tell(`  | ${line.slice(0, SHOWN_COLUMNS)}`)),
    );
    try {
      if (run.layers) await step('it gets layers', () => lendLayers(machine, signal));
      await scenario.run({ machine, source, signal, step, note });
      result.passed = true;
    } catch (error) {
      signal.throwIfAborted();
      say(await machine.evidence());
      throw error;
    }
  } catch (error) {
    signal.throwIfAborted();
    result.error = error instanceof Error ? (error.stack ?? error.message) : String(error);
    tell(`failed: ${result.error}`);
  }
  result.seconds = secondsSince(begin);
  return result;
}

async function imageOf({ image, recipe = DEBIAN_13 }: Scenario, run: RunOptions): Promise<Image> {
  const { options, network, source, signal, say } = run;
  const { cacheDir } = options;
  const withTests = image === 'contributor';
  const addition = image === 'fresh' ? undefined : await prepared(source, network, cacheDir, { withTests });
  return ensureImage({ recipe, addition }, { cacheDir, network, signal, say });
}

function boot(
  { hardware }: Scenario,
  image: Image,
  { options, network, layers, signal }: RunOptions,
  onLine: (line: string) => void,
): Promise<Machine> {
  const { accelerator, memoryMib } = options;
  return Machine.start({
    image,
    accelerator,
    memoryMib,
    cores: CORES,
    attached: layers,
    network,
    signal,
    onLine,
    ...hardware,
  });
}

async function lendLayers(machine: Machine, signal: AbortSignal): Promise<void> {
  await machine.root.run(UNPACK_LAYERS, { signal, timeoutMs: LAYERS_MS });
}

function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
}
