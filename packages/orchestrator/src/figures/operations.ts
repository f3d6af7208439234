import { Count, Durations, inChildSpan } from '@islet/telemetry';

/** What is done to sandboxes, by the names that operators know. */
const OPERATIONS = {
  create: durations('create', 'Creates on the node'),
  resume: durations('resume', 'Resumes on the node'),
  pause: durations('pause', 'Pauses on the node, those at the end of a time too'),
  fork: durations('fork', 'Forks on the node, all sandboxes of each together'),
  snapshot: durations('snapshot', 'Snapshots on the node'),
};

export type Operation = keyof typeof OPERATIONS;

function durations(operation: string, description: string): Durations {
  return new Durations({ name: `orchestrator.sandbox.${operation}.duration`, description });
}

/** Does something to a sandbox, timed, and as a span of what it is done for. */
export function operate<T>(operation: Operation, sandboxId: string, work: () => Promise<T>): Promise<T> {
  const span = {
    part: 'node',
    name: `${operation} sandbox`,
    attributes: { 'sandbox.id': sandboxId },
  } as const;
  return inChildSpan(span, () => OPERATIONS[operation].time({}, work));
}

/** What new sandboxes begin with. */
export const STARTS = new Count({
  name: 'orchestrator.sandbox.starts',
  description: 'New sandboxes by what they were started from: a machine kept ready, a snapshot, a boot',
});

/** Every one of them is something that only a restart of Islet frees. */
export const LEAKS = new Count({
  name: 'orchestrator.leaked.resources',
  description: 'What could not be freed: machines, network slots, folders; the log says which',
});

export const INIT = {
  duration: new Durations({
    name: 'orchestrator.sandbox.envd.init.duration',
    description: 'How long envd takes to take in who its sandbox is, tries included',
  }),
  calls: new Count({
    name: 'orchestrator.sandbox.envd.init.calls',
    description: 'Requests to envd to take in who its sandbox is',
  }),
};
