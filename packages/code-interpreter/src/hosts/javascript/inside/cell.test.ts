import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { CellSyntaxError, NAMED, PICK, prepareCell } from './cell.ts';

/** Runs cells one after the other over the same global object, with a module `m` that exports `default` and `a`. */
async function valuesOf(...codes: string[]): Promise<unknown[]> {
  const globals: Record<string, unknown> = {
    [NAMED]: (value: object, name: string) => Object.defineProperty(value, 'name', { value: name }),
    [PICK]: (module: Record<string, unknown>, _from: string, names: string[]) =>
      names.map((name) => (name === '*' ? module : module[name])),
    importM: async () => ({ default: 'd', a: 'A' }),
    Promise,
  };
  const values: unknown[] = [];
  for (const code of codes) {
    // The one thing that a bare context has no loader for.
    const script = prepareCell(code).script.replaceAll('import("m")', 'importM()');
    const outcome: { value?: unknown } | undefined = await runInNewContext(script, globals);
    values.push(outcome?.value);
  }
  return values;
}
const last = async (...codes: string[]) => (await valuesOf(...codes)).at(-1);

it('gives the value of the last expression alone', async () => {
  expect(
    await valuesOf('1 + 1', '1 + 1;', 'let a = 1', '(1, 2)', 'f(1)\nfunction f(x) { return x }', '// no', ''),
  ).toEqual([2, 2, undefined, 2, 1, undefined, undefined]);
  expect(await last('({ a: 1 })')).toEqual({ a: 1 });
  expect(await last('{ a: 1 }')).toEqual({ a: 1 });
  expect(await last('5 /* c */ ; // d')).toBe(5);
});

it('keeps what a cell declares at its top, and lets the next declare it again', async () => {
  expect(
    await last('let a = 1, b; const { c, d: [e = 5, ...f] } = { c: 3, d: [] }', '[a, b, c, e, f]'),
  ).toEqual([1, undefined, 3, 5, []]);
  expect(await last('const a = 1', 'const a = 2; class A {}', 'class A { x = a }', 'new A().x')).toBe(2);
  expect(await last('let a = 1', 'let a', 'a')).toBeUndefined();
  expect(await last('var a = 1', 'var a', 'a')).toBe(1);
});

it('keeps `var` of loops and blocks, and not what is local to them', async () => {
  expect(
    await last('for (var i = 0, n = 3; i < n; i++) {}\nif (i) var z = i; else { var w = 1 }', '[i, n, z]'),
  ).toEqual([3, 3, 3]);
  expect(await last('for (var k of [7]) ;for (var [p] of [[8]]) ;', '[k, p]')).toEqual([7, 8]);
  expect(await last('let a = 1; { let a = 2 } for (let a = 3; a < 4; a++) {}', 'a')).toBe(1);
  expect(await last('let a = 1; (() => { var a = 2 })()', 'a')).toBe(1);
});

it('has functions there before the first line, under their names, and calls the newest', async () => {
  expect(
    await last('const r = f(2)\nfunction f(n) { return n ? f(n - 1) + 1 : 0 }', '[r, f.name, f.length]'),
  ).toEqual([2, 'f', 1]);
  expect(
    await last('function f() { return g() }\nfunction g() { return 1 }', 'function g() { return 2 }', 'f()'),
  ).toBe(2);
  expect(await last('async function* f() { yield 1 }', '(await f().next()).value')).toBe(1);
});

it('awaits at the top, and imports', async () => {
  expect(await last('const a = await new Promise((done) => done(4))\na')).toBe(4);
  expect(await last('for await (const x of [1]) { var last = x }', 'last')).toBe(1);
  expect(await last("import d, { a as b } from 'm'\nimport * as m from 'm'", '[d, b, m.a]')).toEqual([
    'd',
    'A',
    'A',
  ]);
  expect(await last('export const a = 1; export default a + 1')).toBe(2);
});

it('is not led astray by lines without a semicolon', async () => {
  expect(
    await last(
      'let log = []\nconst f = (x) => log.push(x)\nf(1)\nvar { y } = { y: 2 }\nf(y)\nclass A {}\n[3].forEach(f)\nlog',
    ),
  ).toEqual([1, 2, 3]);
});

it('keeps lines where they are', () => {
  const code = 'import {\n  a,\n} from "m"\nfunction f() {\n  throw 1\n}\nclass A {\n}\nlet x =\n  1\nx';
  const lines = prepareCell(code).script.split('\n');
  expect(lines[4]).toContain('throw 1');
  expect(lines[10]).toContain('return{value:(x');
});

it('says where code is wrong', () => {
  const wrong = () => prepareCell('1 +\n  * 2');
  expect(wrong).toThrow(CellSyntaxError);
  expect(wrong).toThrow(
    expect.objectContaining({ name: 'SyntaxError', line: 2, column: 2, message: 'Unexpected token' }),
  );
});
