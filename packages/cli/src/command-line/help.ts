import { styleText } from 'node:util';
import type { AnyCommand, Command, CommandGroup } from './command.ts';
import type { Flag } from './flags.ts';
import { flagsOf } from './signature.ts';

/** What the help of a command is written for. */
export interface HelpTarget {
  /** The words that name the command, the program first. */
  name: string;
  version: string;
  color: boolean;
}

type Style = Parameters<typeof styleText>[0];
type Paint = (style: Style, text: string) => string;
/** What can be written, and what it means. */
type Row = readonly [term: string, meaning: string];

/** The help of a command that does something. */
export function commandHelp(command: Command, target: HelpTarget): string {
  const { summary, signature } = command;
  const flags = Object.entries(flagsOf(signature));
  const needed = flags.filter(([, flag]) => flag.kind === 'text' && flag.isRequired);
  const usage = [
    ...(flags.length > 0 ? ['[OPTIONS]'] : []),
    ...Object.entries(signature.words).map(([name, word]) =>
      typeof word === 'string' ? `<${name.toUpperCase()}>` : `[${name.toUpperCase()}]`,
    ),
    ...needed.map(([name, flag]) => written(name, flag)),
  ];
  const words = Object.entries(signature.words).map(
    ([name, word]): Row => [name.toUpperCase(), typeof word === 'string' ? word : word.meaning],
  );
  const paint = painter(target);
  return [
    ...opening(summary, usage.join(' '), target),
    ...section('ARGUMENTS', words, paint),
    ...section('OPTIONS', optionRows(command), paint),
  ].join('\n');
}

/** The help of a command that stands for others. `commands`: these, loaded. */
export function groupHelp(
  { summary, itself }: CommandGroup,
  commands: Readonly<Record<string, AnyCommand>>,
  target: HelpTarget,
): string {
  const paint = painter(target);
  const rows = Object.entries(commands).map(([name, command]): Row => [name, command.summary]);
  return [
    ...opening(summary, `${itself ? '[OPTIONS] or ' : ''}${Object.keys(commands).join('|')}`, target),
    ...(itself ? section('OPTIONS', optionRows(itself), paint) : []),
    ...section('COMMANDS', rows, paint),
    `Use ${paint('cyan', `${target.name} <command> --help`)} for more information about a command.`,
  ].join('\n');
}

function optionRows({ signature }: Command): Row[] {
  return Object.entries(flagsOf(signature)).flatMap(([name, flag]) => flagRows(name, flag));
}

function painter({ color }: HelpTarget): Paint {
  return (style, text) => (color ? styleText(style, text, { validateStream: false }) : text);
}

function opening(summary: string, usage: string, target: HelpTarget): string[] {
  const paint = painter(target);
  return [
    paint('gray', `${summary} (${target.name} v${target.version})`),
    '',
    `${title('USAGE', paint)} ${paint('cyan', `${target.name} ${usage}`)}`,
    '',
  ];
}

function title(text: string, paint: Paint): string {
  return paint('underline', paint('bold', text));
}

function section(heading: string, rows: readonly Row[], paint: Paint): string[] {
  if (rows.length === 0) return [];
  const width = Math.max(...rows.map(([term]) => term.length));
  return [
    title(heading, paint),
    '',
    ...rows.map(([term, meaning]) => `  ${paint('cyan', term.padEnd(width))}  ${meaning}`),
    '',
  ];
}

function written(name: string, flag: Flag): string {
  return flag.kind === 'switch' ? `--${name}` : `--${name}=<${flag.hint}>`;
}

function flagRows(name: string, flag: Flag): Row[] {
  if (flag.kind === 'switch') {
    if (flag.isOn) return [[`--no-${name}`, flag.description]];
    const on: Row = [`--${name}`, flag.description];
    return flag.hasVariable ? [on, [`--no-${name}`, 'Turn that off']] : [on];
  }
  const isText = flag.kind === 'text';
  const required = isText && flag.isRequired ? ' (required)' : '';
  const fallback = isText && flag.fallback !== undefined ? ` (default ${flag.fallback})` : '';
  return [[written(name, flag), `${flag.description}${required}${fallback}`]];
}
