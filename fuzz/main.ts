// Looks for inputs that break what readers of strangers' bytes promise: npm run fuzz -- --help
import { parseArgs } from 'node:util';
import { type FuzzResult, fuzz } from './fuzz.ts';
import { loadTarget, targetNames } from './targets.ts';

const USAGE = `Looks for inputs that break a reader of strangers' bytes, guided by what of its code they reach (jazzer.js).

  npm run fuzz -- <target>… [--seconds <n>]
  npm run fuzz -- --all [--seconds <n>] [--at-once <n>]

  --seconds  for each target (600)
  --at-once  targets that run at the same time (1); each takes a core
  --seed     starts the generator of inputs with this number
  --json     one JSON object for each target as it ends: runs, edges reached, new seeds, what broke

An input that breaks one goes, as short as it could be made, to fuzz/<target>/crashes; inputs that reach new code go to fuzz/<target>/seeds.
\`npm test\` runs both again. Exits with 1 where something broke.

Targets:
`;

const EXIT_BROKEN = 1;
const EXIT_USAGE = 2;

async function usage(): Promise<string> {
  const lines = targetNames().map(
    async (name) => `  ${name.padEnd(20)}${(await loadTarget(name)).description}\n`,
  );
  return USAGE + (await Promise.all(lines)).join('');
}

function parse(args: string[]) {
  const { positionals, values } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      all: { type: 'boolean', default: false },
      seconds: { type: 'string', default: '600' },
      'at-once': { type: 'string', default: '1' },
      seed: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const known = targetNames();
  const unknown = positionals.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new Error(`there is no target '${unknown}'; there are ${known.join(', ')}`);
  const whole = (name: 'seconds' | 'at-once' | 'seed'): number | undefined => {
    const text = values[name];
    if (text === undefined) return undefined;
    if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`--${name} wants a number`);
    return Number(text);
  };
  return {
    help: values.help,
    asJson: values.json,
    names: values.all ? known : positionals,
    atOnce: whole('at-once') as number,
    limits: { seconds: whole('seconds') as number, seed: whole('seed') },
  };
}

function summary({ accidents, crashes, edges, newSeeds, runs, target }: FuzzResult): string {
  const found = crashes.length > 0 ? `BROKEN by ${crashes.join(', ')}` : 'kept its promises';
  const aside = accidents.length > 0 ? ` (once, and not again: ${accidents.join(', ')})` : '';
  return `${target.padEnd(20)}${runs} runs, ${edges} edges, ${newSeeds} new seeds: ${found}${aside}`;
}

async function main(): Promise<number> {
  let options: ReturnType<typeof parse>;
  try {
    options = parse(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${await usage()}`);
    return EXIT_USAGE;
  }
  const { asJson, atOnce, help, limits, names } = options;
  if (help || names.length === 0) {
    process.stdout.write(await usage());
    return help ? 0 : EXIT_USAGE;
  }
  const left = [...names];
  const broken: string[] = [];
  const takeNext = async () => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) {
      const result = await fuzz(name, limits);
      process.stdout.write(`${asJson ? JSON.stringify(result) : summary(result)}\n`);
      if (result.crashes.length > 0) broken.push(name);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, takeNext));
  return broken.length === 0 ? 0 : EXIT_BROKEN;
}

process.exitCode = await main();
