import type { Command } from '../command-line/command.ts';
import { NODE_OPTIONS, readNodeConfig } from '../roles/config.ts';
import { runNode } from '../roles/processes/node.ts';
import type { CommandIo } from './io.ts';
import { serveCommand } from './serve.ts';

/** `islet node`. */
export function nodeCommand(io: CommandIo): Command {
  return serveCommand(io, {
    summary: 'Start what runs sandboxes alone, for an API in another process',
    options: NODE_OPTIONS,
    read: readNodeConfig,
    run: runNode,
  });
}
