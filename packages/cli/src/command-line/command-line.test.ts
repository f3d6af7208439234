import { describe, expect, it } from 'vitest';
import { type CommandGroup, defineCommand } from './command.ts';
import { JSON_FLAG } from './flags.ts';
import { runProgram } from './run.ts';
import { readWords } from './words.ts';

/** A program with a command that takes one of everything, and what became of it. */
function program({ color = false, env = {} as Record<string, string> } = {}) {
  const seen = { printed: [] as string[], failures: [] as string[], ran: [] as object[], exitCode: 0 };
  const io = {
    env,
    version: '1.2.3',
    stdout: { color },
    print: (line: string) => void seen.printed.push(line),
    setExitCode: (code: number) => {
      seen.exitCode = code;
    },
  };
  const make = defineCommand(io, {
    summary: 'Make a thing',
    words: { thing: 'What to make' },
    flags: {
      name: { kind: 'text', hint: 'name', description: 'Its name', isRequired: true },
      size: { kind: 'text', hint: 'n', description: 'Its size', fallback: '3' },
      tags: { kind: 'list', hint: 'a,b', description: 'Its tags' },
      wait: { kind: 'switch', isOn: true, description: 'Do not wait' },
      json: JSON_FLAG,
    },
    options: ['host', 'localDevKey'],
    run: async (given) => void seen.ran.push(given),
    printFailure: (error, { json }) => void seen.failures.push(`${json ? 'json' : 'text'}: ${error}`),
  });
  const list = defineCommand(io, {
    summary: 'List things',
    flags: { json: JSON_FLAG },
    run: async (given) => void seen.ran.push(given),
  });
  const things: CommandGroup = { summary: 'Things', commands: { make, list } };
  const islet = { name: 'islet', summary: 'A program', commands: { things: async () => things } };
  const run = async (...words: string[]) => {
    await runProgram(io, islet, words);
    return seen;
  };
  return { run, seen };
}

describe('a command', () => {
  it('is given its words, its flags and where its options are read from', async () => {
    const env = { ISLET_HOST: '::1' };
    const { ran, exitCode } = await program({ env }).run(
      ...[
        'things',
        'make',
        '--name=a=b',
        'chair',
        '--tags',
        'x, y',
        '--tags=z',
        '--no-wait',
        '--host',
        '::2',
      ],
    );
    expect(ran).toEqual([
      {
        words: { thing: 'chair' },
        flags: { name: 'a=b', size: '3', tags: ['x', 'y', 'z'], wait: false, json: false },
        options: { host: '::2', 'local-dev-key': undefined },
        problem: undefined,
        sources: { flags: { host: '::2', 'local-dev-key': undefined }, env },
      },
    ]);
    expect(exitCode).toBe(0);
  });

  it('takes what looks like a flag as a word behind --', async () => {
    const { ran } = await program().run('things', 'make', '--name', 'n', '--', '-x');
    expect(ran).toMatchObject([{ words: { thing: '-x' } }]);
  });

  it('prints why it fails in the form that is asked for, whatever else is wrong', async () => {
    const { ran, failures, exitCode } = await program().run('things', 'make', '--nmae', 'n', '--json');
    expect(failures).toEqual(['json: OptionError: there is no option --nmae; did you mean --name?']);
    expect({ ran, exitCode }).toEqual({ ran: [], exitCode: 1 });
  });

  it('leaves it to the program to print why it fails otherwise', async () => {
    await expect(program().run('things', 'list', '--jsno')).rejects.toThrow('did you mean --json?');
  });
});

describe('a command line', () => {
  const problem = (...words: string[]) =>
    readWords(
      {
        words: { thing: '' },
        flags: {
          name: { kind: 'text', hint: 'name', description: '', isRequired: true },
          json: JSON_FLAG,
        },
        options: ['host', 'localDevKey'],
      },
      words,
    ).problem?.message;

  it.each([
    [['--name', 'n'], 'THING is needed (see --help)'],
    [['chair'], '--name is needed (see --help)'],
    [['chair', 'table', '--name', 'n'], '"table" is a word too many (see --help)'],
    [['chair', '--name'], '--name needs a value'],
    [['chair', '--name', '--json'], '--name needs a value'],
    [['chair', '--name', 'n', '--json=maybe'], '--json must be on or off, not "maybe"'],
    [['chair', '--name', 'n', '--no-json=on'], '--no-json takes no value'],
    [['chair', '--name', 'n', '--no-name'], 'there is no option --no-name (see --help)'],
    [['chair', '--name', 'n', '-json'], 'there is no option -json; did you mean --json?'],
    [['chair', '--name', 'n', '-x'], 'there is no option -x (see --help)'],
    [
      ['chair', '--name', 'n', '--local-dev-kye=on'],
      /no option --local-dev-kye; did you mean --local-dev-key\?/,
    ],
    [['chair', '--name', 'n', '--no-local-dev-kye'], /did you mean --no-local-dev-key\?/],
    [['chair', '--name', 'n', '--__proto__', 'x'], 'there is no option --__proto__ (see --help)'],
  ])('is refused: %j', (words, message) => {
    if (typeof message === 'string') expect(problem(...words)).toBe(message);
    else expect(problem(...words)).toMatch(message);
  });

  it.each([
    [['chair', '--name', '-1']],
    [['chair', '--name=--json']],
    [['chair', '--name', '']],
    [['--json', 'chair', '--name', 'n']],
    [['chair', '--name', 'n', '--json=off', '--no-json']],
  ])('is taken: %j', (words) => {
    expect(problem(...words)).toBeUndefined();
  });

  it('lets on or off stand behind a switch if there is no word that it could be', () => {
    const given = ['--json', 'off', '--local-dev-key', 'off'];
    const { flags, options } = readWords(
      { words: {}, flags: { json: JSON_FLAG }, options: ['localDevKey'] },
      given,
    );
    expect({ flags, options }).toEqual({ flags: { json: false }, options: { 'local-dev-key': 'off' } });
  });
});

describe('the help', () => {
  const help = async (...words: string[]) => {
    const { printed, exitCode } = await program().run(...words);
    return { text: printed.join('\n'), exitCode };
  };

  it('names the commands, of the program and of a group', async () => {
    expect(await help('--help')).toEqual({
      exitCode: 0,
      text: `A program (islet v1.2.3)

USAGE islet things

COMMANDS

  things  Things

Use islet <command> --help for more information about a command.`,
    });
    expect((await help('things', '-h')).text).toContain(`USAGE islet things make|list

COMMANDS

  make  Make a thing
  list  List things

Use islet things <command> --help`);
  });

  it('tells everything that a command takes, and runs nothing, wherever it is asked for', async () => {
    const asked = program();
    const { printed } = await asked.run('things', 'make', '--no-such', '--name', '--help');
    expect(asked.seen.ran).toEqual([]);
    expect(printed.join('\n')).toBe(`Make a thing (islet things make v1.2.3)

USAGE islet things make [OPTIONS] <THING> --name=<name>

ARGUMENTS

  THING  What to make

OPTIONS

  --name=<name>       Its name (required)
  --size=<n>          Its size (default 3)
  --tags=<a,b>        Its tags
  --no-wait           Do not wait
  --json              Print JSON
  --host=<address>    Address that the API and the proxy listen on (default 127.0.0.1) [ISLET_HOST]
  --local-dev-key     Put the well-known key of local development into the database, or take it out (default: a first \
start puts it in if --host is local) [ISLET_LOCAL_DEV_KEY]
  --no-local-dev-key  Turn that off
`);
  });

  it('is in colour on a terminal only', async () => {
    const { printed } = await program({ color: true }).run('--help');
    expect(printed.join()).toContain('\u001b[36mthings\u001b[39m  Things');
  });

  it('is what a group prints without a command, as a failure if it was meant to do something', async () => {
    expect(await help()).toMatchObject({ exitCode: 0, text: expect.stringContaining('COMMANDS') });
    expect(await help('things')).toMatchObject({ exitCode: 1, text: expect.stringContaining('COMMANDS') });
  });
});

describe('a program', () => {
  it('tells its version', async () => {
    expect((await program().run('--version')).printed).toEqual(['1.2.3']);
  });

  it.each([
    [['thongs'], 'there is no command "thongs"; there are: things'],
    [['things', 'mkae', '--help'], 'there is no command "things mkae"; there are: make, list'],
    [['constructor'], 'there is no command "constructor"; there are: things'],
    [['--josn'], 'there is no option --josn (see --help)'],
    [['things', '--version'], 'there is no option --version (see --help)'],
  ])('refuses what it does not know: %j', async (words, message) => {
    await expect(program().run(...words)).rejects.toThrow(message);
  });
});
