import { describe, expect, it } from 'vitest';
import { commandEnv, VariablesTooLongError, withVariables } from './context.ts';
import { parseSteps } from './step.ts';

const parse = (type: string, args: string[], filesHash?: string) =>
  parseSteps([{ type, args, filesHash, force: false }])[0]?.action;
const hash = 'a'.repeat(64);

describe('steps', () => {
  it('are read in any case, with empty arguments as absent ones', () => {
    expect(parse('run', ['ls', ''])).toEqual({ kind: 'run', command: 'ls', user: undefined });
    expect(parse('Copy', ['a', 'b', '', ''], hash)).toMatchObject({ owner: undefined, mode: undefined });
    expect(parse('ADD', ['a', 'b', 'app', '0755'], hash)).toMatchObject({ owner: 'app:app', mode: 0o755 });
    expect(parse('ARG', ['A', '1'])).toEqual({ kind: 'env', variables: [['A', '1']] });
    expect(parse('USER', ['app', 'true'])).toEqual({ kind: 'user', name: 'app', admin: true });
  });

  it.each([
    ['RUN', [], undefined, 'RUN requires a command'],
    ['ENV', ['A'], undefined, 'ENV requires pairs of a name and a value'],
    ['ENV', ['A=B', '1'], undefined, "ENV: invalid variable name 'A=B'"],
    ['COPY', ['a', 'b'], undefined, 'COPY requires files hash to be set'],
    ['COPY', ['a', 'b'], '../../etc', "COPY: invalid files hash '../../etc'"],
    ['COPY', ['a', 'b', '', '9'], hash, "COPY: invalid mode '9': use octal digits such as 0755"],
    ['USER', ['a b'], undefined, "USER requires a valid user name, not 'a b'"],
    ['USER', ['../x'], undefined, "USER requires a valid user name, not '../x'"],
    ['WORKDIR', ['a\0b'], undefined, 'WORKDIR must not contain a NUL character'],
    ['EXPOSE', ['80'], undefined, 'command type EXPOSE is not implemented'],
  ])('%s %j with hash %s is refused', (type, args, filesHash, message) => {
    expect(() => parse(type, args, filesHash)).toThrow(expect.objectContaining({ message, phase: '1' }));
  });
});

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: what clients write
describe('variables', () => {
  const context = { env: { A: 'a' }, user: 'user', workdir: undefined };
  const value = (text: string) => withVariables(context, [['X', text]]).env.X;

  it.each([
    ['$A-${A}', 'a-a'],
    ['${PATH}:/my', '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/my'],
    ['$UNKNOWN.', '.'],
    ['$(id) `id` "q" \'s\' \\n $ $1', '$(id) `id` "q" \'s\' \\n $ $1'],
    ['-----BEGIN KEY-----\nline\n', '-----BEGIN KEY-----\nline\n'],
    ['$constructor${toString}', ''],
  ])('%j becomes %j', (text, expected) => {
    expect(value(text)).toBe(expected);
  });

  it('are seen by those after them in later steps, and replaced once', () => {
    const first = withVariables(context, [
      ['B', '$A$'],
      ['C', '$B'],
    ]);
    expect(first.env).toEqual({ A: 'a', B: 'a$', C: '' });
    expect(withVariables(first, [['C', '$B']]).env.C).toBe('a$');
  });

  it('that repeat each other are refused before they are made', () => {
    const doubled = Array(40).fill(['A', '$A$A'] as const);
    const steps = [['A', 'x'.repeat(100)], ...doubled] as const;
    const carryOut = () => steps.reduce((before, pair) => withVariables(before, [pair]), context);
    expect(carryOut).toThrow("variable 'A' is too long: a variable may have 131070 characters with its name");
    const many = { ...context, env: { A: 'x'.repeat(131_000) } };
    expect(() => withVariables(many, [['B', '$A'.repeat(60_000)]])).toThrow(VariablesTooLongError);
  });

  it('that are too many together are refused', () => {
    const pairs = Array.from({ length: 9 }, (_, i) => [`A${i}`, 'x'.repeat(131_000)] as const);
    expect(() => withVariables(context, pairs)).toThrow("variable 'A8' does not fit");
    expect(Object.keys(withVariables(context, pairs.slice(0, 7)).env)).toHaveLength(8);
  });

  it('of a command keep the standard directories behind a PATH of their own', () => {
    expect(commandEnv({ ...context, env: { PATH: '/mine:/usr/bin' } }).PATH).toBe(
      '/mine:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin',
    );
    expect(commandEnv(context)).toEqual({ A: 'a' });
  });
});
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: what clients write
