// Measures a real Islet beside its baselines: npm run bench -- --help
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseOptions, UsageError } from './options.ts';
import { currentCommit, describeMachine, type ReportDocument } from './report/document.ts';
import { judge } from './report/measurement.ts';
import { Progress } from './report/progress.ts';
import { renderTable } from './report/table.ts';
import { ROWS } from './rows/rows.ts';
import { Session } from './session.ts';

const USAGE = `Measures Islet beside its baselines, in turns within one run.

  npm run bench -- [--quick] [--only <row>[,<row>…]] [--json <file>]

  --quick   a few rounds of each row, in some three minutes
  --only    measure these rows only:
${ROWS.map(({ name, description }) => `              ${name.padEnd(14)}${description}`).join('\n')}
  --json    write the figures there instead of bench/results/<time>.json

Needs root. Exits with 0 where everything could be measured, whatever the figures are.
`;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** By the shell's convention for SIGINT. */
const EXIT_INTERRUPTED = 130;

/** Aborts with the first SIGINT or SIGTERM; later ones change nothing, so that all is taken away. */
function interruptible(progress: Progress): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (!controller.signal.aborted) progress.say('interrupted: taking everything away');
      controller.abort(new Error(`interrupted by ${name}`));
    });
  }
  return controller.signal;
}

async function measureRows(
  names: readonly string[],
  document: ReportDocument,
  progress: Progress,
  signal: AbortSignal,
) {
  progress.say('starting Islet on an empty data directory');
  await using session = await Session.open(signal);
  for (const row of ROWS.filter(({ name }) => names.includes(name))) {
    signal.throwIfAborted();
    progress.say(`${row.name}: ${row.description}`);
    try {
      const measurements = await row.measure({
        size: document.size,
        islet: session.islet,
        access: session.islet.access,
        bare: () => session.bare(),
        signal,
        progress: (done, total) => progress.step(row.name, done, total),
        now: () => performance.now(),
      });
      document.results.push(...measurements.map(judge));
    } catch (error) {
      if (signal.aborted) throw error;
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      progress.say(`${row.name} failed: ${text}`);
      document.failures.push({ row: row.name, error: text });
    }
  }
  progress.say('stopping Islet');
}

/** A failure of taking things away comes alone or together with what had ended the run before. */
function leftSomething(error: unknown): boolean {
  return error instanceof AggregateError || (error instanceof Error && error.name === 'SuppressedError');
}

async function bench(args: readonly string[]): Promise<number> {
  const options = parseOptions(
    args,
    ROWS.map(({ name }) => name),
  );
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const progress = new Progress(process.stderr);
  const signal = interruptible(progress);
  const startedAt = performance.now();
  const document: ReportDocument = {
    version: 1,
    takenAt: new Date().toISOString(),
    size: options.size,
    commit: await currentCommit(),
    machine: await describeMachine(),
    seconds: 0,
    results: [],
    failures: [],
  };
  try {
    await measureRows(options.rows, document, progress, signal);
  } catch (error) {
    if (!signal.aborted || leftSomething(error)) throw error;
    return EXIT_INTERRUPTED;
  }
  document.seconds = Math.round((performance.now() - startedAt) / 1000);
  const file =
    options.json ?? join(import.meta.dirname, 'results', `${document.takenAt.replaceAll(':', '-')}.json`);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(document, null, 2)}\n`);
  process.stdout.write(`\n${renderTable(document.results)}\n${document.seconds} s; figures in ${file}\n`);
  return document.failures.length === 0 ? 0 : EXIT_FAILED;
}

try {
  process.exitCode = await bench(process.argv.slice(2));
} catch (error) {
  if (error instanceof UsageError) process.stderr.write(`${error.message}\n`);
  else process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  process.exitCode = error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
}
