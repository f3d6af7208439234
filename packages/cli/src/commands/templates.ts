import { waitForFileLock } from '@islet/host';
import { pruneLayerCache } from '@islet/template-manager';
import { type CommandGroup, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG } from '../command-line/flags.ts';
import { OPTIONS } from '../options/options.ts';
import { OptionError, requireOption } from '../options/spec.ts';
import { CONNECTION_OPTIONS, callApi, findApi } from '../templates/connection.ts';
import type { CommandIo } from './io.ts';
import { table } from './table.ts';

const MIB = 1024 * 1024;

/** What the API tells of a template. */
interface TemplateView {
  templateID: string;
  names: string[];
  buildStatus: string;
  public: boolean;
  cpuCount: number;
  memoryMB: number;
  diskSizeMB: number;
  spawnCount: number;
  updatedAt: string;
}

/** `islet templates …`. */
export function templatesCommand(io: CommandIo): CommandGroup {
  const list = defineCommand(io, {
    summary: 'List the templates of the key’s team, newest first',
    flags: { json: JSON_FLAG },
    options: CONNECTION_OPTIONS,
    async run({ flags, sources }) {
      const api = await findApi(sources);
      const templates = await callApi<TemplateView[]>(api, 'GET', '/templates');
      io.print(flags.json ? JSON.stringify(templates) : templateTable(templates));
    },
  });

  const remove = defineCommand(io, {
    summary: 'Delete a template that no sandbox uses, and what its builds hold',
    words: { template: 'Its name or id' },
    flags: { json: JSON_FLAG },
    options: CONNECTION_OPTIONS,
    async run({ words: { template }, flags, sources }) {
      const api = await findApi(sources);
      await callApi(api, 'DELETE', `/templates/${encodeURIComponent(template)}`);
      io.print(flags.json ? JSON.stringify({ deleted: template }) : `Deleted ${template}.`);
    },
  });

  const gc = defineCommand(io, {
    summary: 'Remove cached layers, longest not used first; templates and sandboxes keep what they need',
    flags: {
      keep: { kind: 'text', hint: 'MiB', description: 'Size that the layers may keep', fallback: '0' },
      json: JSON_FLAG,
    },
    options: ['cacheDir'],
    async run({ flags: { keep, json }, sources }) {
      if (!/^\d{1,9}$/.test(keep)) throw new OptionError(`--keep takes a whole number of MiB, not "${keep}"`);
      const result = await pruneLayerCache({
        cacheDir: requireOption(OPTIONS.cacheDir, sources),
        lock: waitForFileLock,
        maxBytes: Number(keep) * MIB,
        now: Date.now(),
      });
      if (json) return io.print(JSON.stringify(result));
      const { removed, freedBytes, keptBytes } = result;
      io.print(`Removed ${removed} layers of ${mib(freedBytes)}; ${mib(keptBytes)} are kept.`);
    },
  });

  return {
    summary: 'List and delete templates, and free the layers of their builds',
    commands: { list, delete: remove, gc },
  };
}

const mib = (bytes: number): string => `${Math.round(bytes / MIB)} MiB`;

function templateTable(templates: TemplateView[]): string {
  const rows = templates.map((template) => [
    template.templateID,
    template.names.join(', '),
    template.buildStatus,
    template.public ? 'public' : 'private',
    String(template.cpuCount),
    String(template.memoryMB),
    String(template.diskSizeMB),
    String(template.spawnCount),
    template.updatedAt,
  ]);
  return table(
    ['ID', 'NAMES', 'BUILD', 'ACCESS', 'VCPU', 'MEMORY MIB', 'DISK MIB', 'SANDBOXES', 'UPDATED'],
    rows,
  );
}
