import { OptionError } from '../options/spec.ts';
import type { AnyCommand, CommandGroup, CommandProcess } from './command.ts';
import { commandHelp, groupHelp, type HelpTarget } from './help.ts';
import { readWords } from './words.ts';

/** What the command line needs of the process. */
export interface CommandLineProcess extends CommandProcess {
  version: string;
  stdout: { color: boolean };
  print(line: string): void;
}

/** A group of commands by the name of the program. */
export interface Program extends CommandGroup {
  name: string;
}

/** Runs the command that the words name, or prints the help or the version. @throws OptionError if there is no such command. */
export async function runProgram(
  io: CommandLineProcess,
  program: Program,
  words: readonly string[],
): Promise<void> {
  const { command, depth } = await find(program, words);
  const [path, rest] = [words.slice(0, depth), words.slice(depth)];
  if (command === program && words.includes('--version')) return io.print(io.version);
  const target = {
    name: [program.name, ...path].join(' '),
    version: io.version,
    color: io.stdout.color,
  };
  if ('commands' in command) {
    refuseUnknown(command, path, rest[0]);
    if (command.itself && !asksHelp(rest)) return command.itself.run(rest);
    if (!asksHelp(rest)) refuseFlags(rest);
    io.print(await helpOf(command, target));
    if (!asksHelp(rest) && words.length > 0) io.setExitCode(1);
    return;
  }
  if (asksHelp(rest)) return io.print(commandHelp(command, target));
  await command.run(rest);
}

/** The command that the first words name, and how many of them do. */
async function find(
  program: CommandGroup,
  words: readonly string[],
): Promise<{ command: AnyCommand; depth: number }> {
  let command: AnyCommand = program;
  for (const [depth, word] of words.entries()) {
    if (!('commands' in command) || !Object.hasOwn(command.commands, word)) return { command, depth };
    command = await load(command.commands[word] as CommandGroup['commands'][string]);
  }
  return { command, depth: words.length };
}

async function load(command: CommandGroup['commands'][string]): Promise<AnyCommand> {
  return typeof command === 'function' ? await command() : command;
}

/** Wherever it stands, as the launcher takes it. */
function asksHelp(words: readonly string[]): boolean {
  return words.includes('--help') || words.includes('-h');
}

async function helpOf(group: CommandGroup, target: HelpTarget): Promise<string> {
  const loaded = Object.entries(group.commands).map(async ([name, command]) => [name, await load(command)]);
  return groupHelp(group, Object.fromEntries(await Promise.all(loaded)), target);
}

function refuseUnknown(group: CommandGroup, path: readonly string[], word: string | undefined): void {
  if (!word || word.startsWith('-')) return;
  const known = Object.keys(group.commands).join(', ');
  throw new OptionError(`there is no command "${[...path, word].join(' ')}"; there are: ${known}`);
}

/** A group takes no flags but --help. */
function refuseFlags(words: readonly string[]): void {
  const { problem } = readWords({ words: {}, flags: {}, options: [] }, words);
  if (problem) throw problem;
}
