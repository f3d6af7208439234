import type { Command } from '../command-line/command.ts';
import { EDGE_OPTIONS, readEdgeConfig } from '../roles/config.ts';
import { runEdge } from '../roles/processes/edge.ts';
import type { CommandIo } from './io.ts';
import { serveCommand } from './serve.ts';

/** `islet edge`. */
export function edgeCommand(io: CommandIo): Command {
  return serveCommand(io, {
    summary: 'Start the way into sandboxes alone, for an API in another process',
    options: EDGE_OPTIONS,
    read: readEdgeConfig,
    run: runEdge,
  });
}
