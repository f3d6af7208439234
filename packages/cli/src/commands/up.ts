import type { Command } from '../command-line/command.ts';
import { readUpConfig, UP_OPTIONS } from '../up/config.ts';
import { up } from '../up/up.ts';
import type { CommandIo } from './io.ts';
import { serveCommand } from './serve.ts';

/** `islet up`. */
export function upCommand(io: CommandIo): Command {
  return serveCommand(io, {
    summary: 'Start everything on this machine, in the foreground',
    options: UP_OPTIONS,
    read: readUpConfig,
    run: up,
  });
}
