import fc from 'fast-check';

type OnSandbox = 'write' | 'pause' | 'resume' | 'kill' | 'prolong' | 'expire' | 'fork' | 'snapshot';

/** What one client asks for. `target` picks one of the sandboxes that are there, round and round. */
export type Operation = { kind: 'create'; onTimeout: 'kill' | 'pause' } | { kind: OnSandbox; target: number };

/** A sandbox as it has to be. */
export interface Modelled {
  state: 'running' | 'paused';
  onTimeout: 'kill' | 'pause';
  /** SHA-256 of its file. */
  file: string;
  /** SHA-256 of what a program in it holds in memory only. */
  memory: string;
}

/** How an operation on a sandbox is answered, and what becomes of it. */
export interface Outcome {
  status: number;
  becomes: Modelled['state'] | 'gone';
}

export function outcomeOf(kind: OnSandbox, { state, onTimeout }: Modelled): Outcome {
  const isRunning = state === 'running';
  switch (kind) {
    case 'pause':
      return { status: isRunning ? 204 : 409, becomes: 'paused' };
    case 'resume':
      return { status: isRunning ? 409 : 201, becomes: 'running' };
    case 'kill':
      return { status: 204, becomes: 'gone' };
    case 'expire':
      if (!isRunning) return { status: 404, becomes: state };
      return { status: 204, becomes: onTimeout === 'pause' ? 'paused' : 'gone' };
    case 'prolong':
      return { status: isRunning ? 204 : 404, becomes: state };
    case 'write':
      return { status: isRunning ? 200 : 502, becomes: state };
    case 'fork':
    case 'snapshot':
      return { status: isRunning ? 201 : 409, becomes: state };
  }
}

const onSandbox: OnSandbox[] = ['write', 'pause', 'resume', 'kill', 'prolong', 'expire', 'fork', 'snapshot'];
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom(...onSandbox), target: fc.nat({ max: 7 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('create' as const),
      onTimeout: fc.constantFrom('kill' as const, 'pause' as const),
    }),
  },
);

/** Steps one after the other; the operations of a step are asked for by several clients at the same time. */
export const steps = fc.array(fc.array(operation, { minLength: 1, maxLength: 3 }), {
  minLength: 3,
  maxLength: 8,
});
