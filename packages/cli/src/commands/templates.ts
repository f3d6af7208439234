import { defineCommand } from 'citty';
import { refuseUnknownFlags, stringArgs } from '../options/args.ts';
import type { OptionName } from '../options/options.ts';
import { callApi, findApi } from '../templates/connection.ts';
import type { CommandIo } from './io.ts';
import { table } from './table.ts';

const WHERE: OptionName[] = ['apiUrl', 'apiKey', 'dataDir'];
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
  const listArgs = { json: JSON_ARG, ...stringArgs(WHERE) } as const;
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
    ...stringArgs(WHERE),
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

  return defineCommand({
    meta: { name: 'templates', description: 'List and delete templates' },
    subCommands: { list, delete: remove },
  });
}

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
