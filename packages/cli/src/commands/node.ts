import { type Command, type CommandGroup, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG } from '../command-line/flags.ts';
import { openNodes } from '../control/nodes.ts';
import { OPTIONS } from '../options/options.ts';
import { type OptionSources, readOption, requireOption } from '../options/spec.ts';
import { NODE_OPTIONS, readNodeConfig } from '../roles/config.ts';
import { runNode } from '../roles/processes/node.ts';
import type { CommandIo } from './io.ts';
import { CONTROL_OPTIONS, drainCommand, NODE_WORD } from './node-drain.ts';
import { serveCommand } from './serve.ts';
import { table } from './table.ts';

/** `islet node …`: itself it is a node; its commands are for the operator, on the machine of an API. */
export function nodeCommand(io: CommandIo): CommandGroup & { itself: Command } {
  const itself = serveCommand(io, {
    summary: 'Start what runs sandboxes alone, for an API in another process',
    options: NODE_OPTIONS,
    read: readNodeConfig,
    run: runNode,
  });
  const nodesOf = (sources: OptionSources) =>
    openNodes(requireOption(OPTIONS.dataDir, sources), readOption(OPTIONS.secretsDir, sources));

  const list = defineCommand(io, {
    summary: 'List nodes, on the machine of an API',
    flags: { json: JSON_FLAG },
    options: CONTROL_OPTIONS,
    async run({ flags, sources }) {
      const nodes = await (await nodesOf(sources)).list();
      if (flags.json) return io.print(JSON.stringify(nodes));
      if (nodes.length === 0) return io.print('There are no nodes. Have one join with `islet token create`.');
      const rows = nodes.map(({ id, status, sandboxCount, version, metrics }) => [
        ...[id, status, String(sandboxCount), String(metrics.cpuCount)],
        ...[String(Math.round(metrics.memoryTotalBytes / 2 ** 20)), version],
      ]);
      io.print(table(['ID', 'STATUS', 'SANDBOXES', 'CPUS', 'MEMORY MIB', 'VERSION'], rows));
    },
  });

  const show = defineCommand(io, {
    summary: 'Show a node and its sandboxes',
    words: NODE_WORD,
    flags: { json: JSON_FLAG },
    options: CONTROL_OPTIONS,
    async run({ words, flags, sources }) {
      const node = await (await nodesOf(sources)).show(words.node);
      if (flags.json) return io.print(JSON.stringify(node));
      const { sandboxes, ...facts } = node;
      io.print(`${facts.id}: ${facts.status}, version ${facts.version}, ${facts.metrics.cpuCount} CPUs`);
      const rows = sandboxes.map(({ sandboxID, templateID, state }) => [sandboxID, templateID, state]);
      io.print(rows.length > 0 ? table(['SANDBOX', 'TEMPLATE', 'STATE'], rows) : 'It has no sandboxes.');
    },
  });

  const undrain = defineCommand(io, {
    summary: 'Have new things started on a node again',
    words: NODE_WORD,
    flags: { json: JSON_FLAG },
    options: CONTROL_OPTIONS,
    async run({ words, flags, sources }) {
      const nodes = await nodesOf(sources);
      await nodes.setStatus(words.node, 'ready');
      const status = { id: words.node, status: 'ready' };
      io.print(flags.json ? JSON.stringify(status) : `Node ${words.node} is given new things again.`);
    },
  });

  const remove = defineCommand(io, {
    summary: 'Take a node, or an edge, out of the cluster: its certificate is good for nothing any more',
    words: NODE_WORD,
    flags: {
      edge: { kind: 'switch', description: 'It is an edge that has this name' },
      force: { kind: 'switch', description: 'Also if it has sandboxes, or does not say' },
      json: JSON_FLAG,
    },
    options: CONTROL_OPTIONS,
    async run({ words, flags, sources }) {
      const nodes = await nodesOf(sources);
      if (flags.edge) await nodes.removeEdge(words.node);
      else await nodes.remove(words.node, flags.force);
      io.print(
        flags.json
          ? JSON.stringify({ id: words.node, removed: true })
          : `Removed ${flags.edge ? 'edge' : 'node'} ${words.node}. Stop it on its machine; to come back it joins with a new token.`,
      );
    },
  });

  return {
    summary: 'Start what runs sandboxes alone, or list, drain and remove nodes',
    itself,
    commands: {
      list,
      show,
      drain: drainCommand(io, nodesOf),
      undrain,
      remove,
    },
  };
}
