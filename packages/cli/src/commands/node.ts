import { NODE_OPTIONS, readNodeConfig } from '../roles/config.ts';
import { runNode } from '../roles/processes/node.ts';
import type { CommandIo } from './io.ts';
import { serveCommand } from './serve.ts';

/** `islet node`. */
export function nodeCommand(io: CommandIo) {
  return serveCommand(io, {
    name: 'node',
    description: 'Start what runs sandboxes alone, for an API in another process',
    options: NODE_OPTIONS,
    read: readNodeConfig,
    run: runNode,
  });
}
