import { BuildError } from '../builds/build-error.ts';

/** A step as a client sends it. */
export interface StepRequest {
  type: string;
  args: readonly string[];
  filesHash?: string | undefined;
  force: boolean;
}

/** What a step asks for. */
export type StepAction =
  | { kind: 'run'; command: string; user: string | undefined }
  | {
      kind: 'copy';
      source: string;
      destination: string;
      /** `user:group`; absent: the current user's. */
      owner: string | undefined;
      mode: number | undefined;
      filesHash: string;
    }
  | { kind: 'env'; variables: readonly (readonly [name: string, value: string])[] }
  | { kind: 'workdir'; path: string }
  | { kind: 'user'; name: string; admin: boolean };

export interface Step {
  action: StepAction;
  /** As the log shows it: type and arguments. */
  title: string;
  force: boolean;
}

const FILES_HASH = /^[0-9a-f]{64}$/;
const USER_NAME = /^(?:\d{1,9}|[a-z_][a-z0-9_.-]{0,31})$/i;
const OWNER = /^[^\s:]+(?::[^\s:]*)?$/;
const MODE = /^0?[0-7]{1,4}$/;

/** @throws BuildError of phase `1`…`n` naming what is wrong. */
export function parseSteps(requests: readonly StepRequest[]): Step[] {
  return requests.map((request, index) => {
    const type = request.type.toUpperCase();
    const fail = (message: string): never => {
      throw new BuildError(String(index + 1), message);
    };
    return {
      action: parseAction(type, request, fail),
      title: [type, ...request.args.filter((arg) => arg !== '')].join(' '),
      force: request.force,
    };
  });
}

function parseAction(type: string, request: StepRequest, fail: (message: string) => never): StepAction {
  const { args } = request;
  if (args.some((arg) => arg.includes('\0'))) fail(`${type} must not contain a NUL character`);
  switch (type) {
    case 'RUN': {
      const [command = '', user] = args;
      if (command === '') fail('RUN requires a command');
      return { kind: 'run', command, user: user || undefined };
    }
    case 'COPY':
    case 'ADD':
      return parseCopy(type, request, fail);
    case 'ENV':
    case 'ARG': {
      if (args.length < 2 || args.length % 2 !== 0) fail(`${type} requires pairs of a name and a value`);
      const variables: [string, string][] = [];
      for (let i = 0; i < args.length; i += 2) {
        const [name = '', value = ''] = args.slice(i, i + 2);
        if (name === '' || name.includes('=')) fail(`${type}: invalid variable name '${name}'`);
        variables.push([name, value]);
      }
      return { kind: 'env', variables };
    }
    case 'WORKDIR': {
      const [path = ''] = args;
      if (path === '') fail('WORKDIR requires a path');
      return { kind: 'workdir', path };
    }
    case 'USER': {
      const [name = '', admin] = args;
      if (!USER_NAME.test(name)) fail(`USER requires a valid user name, not '${name}'`);
      return { kind: 'user', name, admin: admin === 'true' };
    }
    default:
      return fail(`command type ${type} is not implemented`);
  }
}

function parseCopy(type: string, request: StepRequest, fail: (message: string) => never): StepAction {
  const [source = '', destination = '', owner = '', mode = ''] = request.args;
  const { filesHash } = request;
  if (!filesHash) return fail(`${type} requires files hash to be set`);
  if (!FILES_HASH.test(filesHash)) fail(`${type}: invalid files hash '${filesHash}'`);
  if (source === '' || destination === '') fail(`${type} requires a source and a destination`);
  if (owner !== '' && !OWNER.test(owner)) fail(`${type}: invalid owner '${owner}'`);
  if (mode !== '' && !MODE.test(mode)) fail(`${type}: invalid mode '${mode}': use octal digits such as 0755`);
  return {
    kind: 'copy',
    source,
    destination,
    owner: owner === '' ? undefined : owner.includes(':') ? owner : `${owner}:${owner}`,
    mode: mode === '' ? undefined : Number.parseInt(mode, 8),
    filesHash,
  };
}
