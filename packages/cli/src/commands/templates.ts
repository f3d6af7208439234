import { waitForFileLock } from '@islet/host';
import { pruneLayerCache } from '@islet/template-manager';
import { defineCommand } from 'citty';
import { optionArgs, refuseUnknownFlags } from '../options/args.ts';
import { OPTIONS, type OptionName } from '../options/options.ts';
import { OptionError, requireOption } from '../options/spec.ts';
import { callApi, findApi } from '../templates/connection.ts';
import type { CommandIo } from './io.ts';
import { table } from './table.ts';

const WHERE: OptionName[] = ['apiUrl', 'apiKey', 'dataDir'];
const MIB = 1024 * 1024;
const JSON_ARG = { type: 'boolean', description: 'Print JSON' } as const;

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
export function templatesCommand(io: CommandIo) {
  const listArgs = { json: JSON_ARG, ...optionArgs(WHERE) } as const;
  const list = defineCommand({
    meta: { name: 'list', description: 'List the templates of the key’s team, newest first' },
    args: listArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, listArgs);
      const api = await findApi({ flags: args, env: io.env });
      const templates = await callApi<TemplateView[]>(api, 'GET', '/templates');
      io.print(args.json ? JSON.stringify(templates) : templateTable(templates));
    },
  });

  const deleteArgs = {
    template: { type: 'positional', description: 'Its name or id', required: true },
    json: JSON_ARG,
    ...optionArgs(WHERE),
  } as const;
  const remove = defineCommand({
    meta: { name: 'delete', description: 'Delete a template that no sandbox uses, and what its builds hold' },
    args: deleteArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, deleteArgs);
      const api = await findApi({ flags: args, env: io.env });
      await callApi(api, 'DELETE', `/templates/${encodeURIComponent(args.template)}`);
      io.print(args.json ? JSON.stringify({ deleted: args.template }) : `Deleted ${args.template}.`);
    },
  });

  const gcArgs = {
    keep: { type: 'string', valueHint: 'MiB', description: 'Size that the layers may keep (default 0)' },
    json: JSON_ARG,
    ...optionArgs(['cacheDir']),
  } as const;
  const gc = defineCommand({
    meta: {
      name: 'gc',
      description:
        'Remove cached layers, longest not used first; templates and sandboxes keep what they need',
    },
    args: gcArgs,
    async run({ args, rawArgs }) {
      refuseUnknownFlags(rawArgs, gcArgs);
      const keep = args.keep ?? '0';
      if (!/^\d{1,9}$/.test(keep)) throw new OptionError(`--keep takes a whole number of MiB, not "${keep}"`);
      const result = await pruneLayerCache({
        cacheDir: requireOption(OPTIONS.cacheDir, { flags: args, env: io.env }),
        lock: waitForFileLock,
        maxBytes: Number(keep) * MIB,
        now: Date.now(),
      });
      if (args.json) return io.print(JSON.stringify(result));
      const { removed, freedBytes, keptBytes } = result;
      io.print(`Removed ${removed} layers of ${mib(freedBytes)}; ${mib(keptBytes)} are kept.`);
    },
  });

  return defineCommand({
    meta: {
      name: 'templates',
      description: 'List and delete templates, and free the layers of their builds',
    },
    subCommands: { list, delete: remove, gc },
  });
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
