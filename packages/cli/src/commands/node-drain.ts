import { type Command, defineCommand } from '../command-line/command.ts';
import { JSON_FLAG } from '../command-line/flags.ts';
import { drainNode, type Settled } from '../control/drain.ts';
import type { NodesControl } from '../control/nodes.ts';
import { OptionError, type OptionSources } from '../options/spec.ts';
import { createTextReporter } from '../output/text-reporter.ts';
import type { CommandIo } from './io.ts';

/** Where an API is found, and the secret that lets operators in. */
export const CONTROL_OPTIONS = ['dataDir', 'secretsDir'] as const;

export const NODE_WORD = { node: "The node's id, as `islet node list` has it" };

/** Each takes a processor of two machines for a moment. */
const AT_ONCE = 2;
const MOST_AT_ONCE = 32;

/** `islet node drain`. */
export function drainCommand(
  io: CommandIo,
  nodesOf: (sources: OptionSources) => Promise<NodesControl>,
): Command {
  return defineCommand(io, {
    summary: 'Have nothing new started on a node, and move what is there to other nodes',
    words: NODE_WORD,
    flags: {
      'at-once': {
        kind: 'text',
        hint: 'n',
        description: `Sandboxes that are moved at a time (default ${AT_ONCE}, at most ${MOST_AT_ONCE})`,
      },
      'keep-sandboxes': { kind: 'switch', description: 'Leave where it is what the node has' },
      json: JSON_FLAG,
    },
    options: CONTROL_OPTIONS,
    async run({ words: { node }, flags, sources }) {
      const atOnce = readAtOnce(flags['at-once']);
      const nodes = await nodesOf(sources);
      await nodes.setStatus(node, 'draining');
      const step = flags.json
        ? undefined
        : createTextReporter(io.stdout, Date.now).step('drain', `Draining node ${node}`);
      const settled = flags['keep-sandboxes']
        ? []
        : await drainNode({
            ...{ nodes, node, atOnce, signal: io.interrupted },
            onSettled: (each, counts) => {
              step?.output(lineOf(each));
              step?.progress(`${counts.settled} of ${counts.known} sandboxes`, counts.settled / counts.known);
            },
          });
      const outcome = outcomeOf(node, settled, io.interrupted.aborted);
      step?.done(`Node ${node} is given nothing new any more.`);
      io.print(flags.json ? JSON.stringify(outcome) : linesOf(outcome).join('\n'));
      if (outcome.stayed.length > 0 || outcome.interrupted) io.setExitCode(1);
    },
  });
}

/** What came of a drain, as programs read it. */
interface Outcome {
  id: string;
  status: 'draining';
  moved: { sandboxID: string; nodeID: string; gapMs: number | null }[];
  stayed: { sandboxID: string; reason: string }[];
  interrupted: boolean;
}

function outcomeOf(id: string, settled: readonly Settled[], interrupted: boolean): Outcome {
  const outcome: Outcome = { id, status: 'draining', moved: [], stayed: [], interrupted };
  for (const each of settled) {
    const { sandboxId: sandboxID } = each;
    if (each.kind === 'stays') outcome.stayed.push({ sandboxID, reason: each.reason });
    else outcome.moved.push({ sandboxID, nodeID: each.nodeId, gapMs: each.gapMs });
  }
  return outcome;
}

function lineOf(settled: Settled): string {
  const { sandboxId } = settled;
  if (settled.kind === 'stays') return `${sandboxId} stays: ${settled.reason}`;
  const { nodeId, gapMs } = settled;
  return `${sandboxId} is on ${nodeId}, ${gapMs === null ? 'paused as it was' : `after ${gapMs} ms`}`;
}

function linesOf({ id, moved, stayed, interrupted }: Outcome): string[] {
  const gaps = moved.flatMap(({ gapMs }) => gapMs ?? []).sort((a, b) => a - b);
  const ofGaps =
    `  Those that ran did not answer for ${gaps[Math.floor(gaps.length / 2)]} ms (median), ${gaps.at(-1)} ms at the most.\n` +
    '  Requests waited for them; connections that were open were reset.';
  return [
    `  ${moved.length} sandboxes were moved, ${stayed.length} stay.`,
    ...(gaps.length > 0 ? [ofGaps] : []),
    ...(interrupted
      ? [`  Interrupted: \`islet node drain ${id}\` goes on, \`islet node undrain ${id}\` takes it back.`]
      : []),
    ...(stayed.length > 0
      ? ['  End what stays or wait for its end, or fix what keeps it and drain again.']
      : []),
  ];
}

function readAtOnce(text: string | undefined): number {
  if (text === undefined) return AT_ONCE;
  const count = Number(text);
  if (/^\d{1,3}$/.test(text) && count >= 1 && count <= MOST_AT_ONCE) return count;
  throw new OptionError(`--at-once takes a number from 1 to ${MOST_AT_ONCE}, not "${text}"`);
}
