import type { Command } from '../command-line/command.ts';
import { API_OPTIONS, readApiConfig } from '../roles/config.ts';
import { runApi } from '../roles/processes/api.ts';
import type { CommandIo } from './io.ts';
import { serveCommand } from './serve.ts';

/** `islet api`. */
export function apiCommand(io: CommandIo): Command {
  return serveCommand(io, {
    summary: 'Start the API alone, for nodes and edges in other processes',
    options: API_OPTIONS,
    read: readApiConfig,
    run: runApi,
  });
}
