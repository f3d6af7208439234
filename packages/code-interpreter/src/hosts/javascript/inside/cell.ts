import {
  type ClassDeclaration,
  type Expression,
  type FunctionDeclaration,
  type ImportDeclaration,
  type Node,
  type Pattern,
  type Program,
  parse,
  type Statement,
  type VariableDeclaration,
} from 'acorn';
import MagicString from 'magic-string';

/** A cell as a script that one call evaluates. */
export interface PreparedCell {
  /** Evaluates to a promise of `{ value }`, with the value of the last statement if that is an expression. */
  script: string;
  /** What it declares at its top: names that the next cells know, and may declare again. */
  names: string[];
}

/** The code is no JavaScript. `line` and `column` count from 1 and 0. */
export class CellSyntaxError extends Error {
  override readonly name = 'SyntaxError';

  constructor(
    message: string,
    readonly line: number,
    readonly column: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What scripts call: picks exports of a module, and gives a function its name. */
export const PICK = '__isletPick';
export const NAMED = '__isletNamed';

/**
 * Rewrites a cell so that it can await at its top and import modules, and that what it declares at its top lives on:
 * declarations become assignments to properties of the global object. Lines stay lines, for traces.
 * @throws CellSyntaxError
 */
export function prepareCell(code: string): PreparedCell {
  const source = isObjectLiteral(code) ? `(${code})` : code;
  const rewriter = new Rewriter(source, parseProgram(source));
  return rewriter.rewrite();
}

const OPTIONS = { ecmaVersion: 'latest', sourceType: 'module', allowHashBang: true } as const;

function parseProgram(source: string): Program {
  try {
    return parse(source, OPTIONS);
  } catch (error) {
    // Modules are strict. Old code that is not is a script.
    try {
      return parse(source, { ...OPTIONS, sourceType: 'script', allowAwaitOutsideFunction: true });
    } catch {
      throw toSyntaxError(error);
    }
  }
}

function toSyntaxError(error: unknown): unknown {
  if (!(error instanceof SyntaxError) || !('loc' in error)) return error;
  const { line, column } = error.loc as { line: number; column: number };
  return new CellSyntaxError(error.message.replace(/ \(\d+:\d+\)$/, ''), line, column, { cause: error });
}

/** `{a: 1}` is a block with a label to a parser, and an object to whoever writes it. */
function isObjectLiteral(code: string): boolean {
  if (!/^\s*\{/.test(code) || /;\s*$/.test(code)) return false;
  try {
    parse(`(${code})`, OPTIONS);
    return true;
  } catch {
    return false;
  }
}

class Rewriter {
  readonly #source: string;
  readonly #program: Program;
  readonly #text: MagicString;
  readonly #names = new Set<string>();
  /** Assignments of functions, which are there before the first line runs. */
  readonly #hoisted: string[] = [];

  constructor(source: string, program: Program) {
    this.#source = source;
    this.#program = program;
    this.#text = new MagicString(source);
  }

  rewrite(): PreparedCell {
    const { body } = this.#program;
    // Functions are there before the first line: what stands before them is last.
    const last = body.findLastIndex(({ type }) => type !== 'FunctionDeclaration');
    for (const [index, statement] of body.entries()) this.#top(statement, index === last);
    if (this.#source.startsWith('#!')) this.#text.prependLeft(0, '//');
    // In the same line, so that the lines of errors are those of the cell.
    const script = `(async()=>{${this.#hoisted.join('')}${this.#text}\n})()`;
    return { script, names: [...this.#names] };
  }

  #top(node: Statement | Program['body'][number], isLast: boolean): void {
    switch (node.type) {
      case 'ExpressionStatement':
        if (isLast) this.#returnValue(node);
        break;
      case 'ImportDeclaration':
        this.#import(node);
        break;
      case 'VariableDeclaration':
        this.#variables(node, 'statement');
        break;
      case 'FunctionDeclaration':
        this.#function(node);
        break;
      case 'ClassDeclaration':
        this.#class(node as ClassDeclaration);
        break;
      case 'ExportNamedDeclaration':
        if (node.declaration) {
          this.#text.remove(node.start, node.declaration.start);
          this.#top(node.declaration, isLast);
        } else this.#remove(node);
        break;
      case 'ExportDefaultDeclaration':
        this.#default(node.declaration as Expression | FunctionDeclaration | ClassDeclaration, node, isLast);
        break;
      case 'ExportAllDeclaration':
        this.#remove(node);
        break;
      default:
        this.#nested(node);
    }
  }

  #returnValue({ start, end }: Node): void {
    const hasSemicolon = this.#source[end - 1] === ';';
    this.#text.appendRight(start, ';return{value:(').appendLeft(hasSemicolon ? end - 1 : end, ')}');
  }

  #import({ source, specifiers, start, end }: ImportDeclaration): void {
    const parts = specifiers.map((specifier) => {
      const name = specifier.local.name;
      this.#names.add(name);
      if (specifier.type === 'ImportNamespaceSpecifier') return [name, '*'];
      if (specifier.type === 'ImportDefaultSpecifier') return [name, 'default'];
      const { imported } = specifier;
      return [name, imported.type === 'Identifier' ? imported.name : String(imported.value)];
    });
    const assign = parts.map(([name], index) => `${name}=__islet[${index}];`).join('');
    const from = JSON.stringify(source.value);
    const wanted = JSON.stringify(parts.map(([, imported]) => imported));
    this.#replace(start, end, `;{const __islet=${PICK}(await import(${from}),${from},${wanted});${assign}}`);
  }

  /** `let {a} = b` as `void ({a} = b)`, where no line before it can go on; in the head of a loop as `{a} = b`. */
  #variables(node: VariableDeclaration, place: 'statement' | 'loop'): void {
    const [first] = node.declarations;
    const last = node.declarations.at(-1);
    if (!first || !last) return;
    for (const { id, init } of node.declarations) {
      this.#declare(id);
      // `let a` does not keep what an earlier cell left there; `var a` does.
      if (place === 'statement' && !init && node.kind !== 'var') this.#text.appendLeft(id.end, '=undefined');
    }
    this.#text.overwrite(node.start, first.start, place === 'statement' ? 'void (' : ' ');
    if (place === 'statement') this.#text.appendLeft(last.end, ')');
  }

  /** It keeps its place under another name, so that calls of it find what its own name means by then. */
  #function({ id }: FunctionDeclaration): void {
    const { name, start, end } = id;
    const hidden = `__islet_${name}`;
    this.#names.add(name);
    this.#hoisted.push(`${name}=${NAMED}(${hidden},${JSON.stringify(name)});`);
    this.#text.overwrite(start, end, hidden);
  }

  #class({ id, start, end }: ClassDeclaration): void {
    this.#names.add(id.name);
    this.#text.appendRight(start, `;${id.name}=`).appendLeft(end, ';');
  }

  #default(
    declaration: Expression | FunctionDeclaration | ClassDeclaration,
    node: Node,
    isLast: boolean,
  ): void {
    this.#text.remove(node.start, declaration.start);
    if ('id' in declaration && declaration.id) this.#top(declaration as Statement, isLast);
    else if (isLast) this.#returnValue({ ...node, start: declaration.start });
  }

  /** `var` in blocks and loops belongs to the cell as well; what functions declare is theirs. */
  #nested(node: Node): void {
    if (node.type === 'VariableDeclaration') {
      const declaration = node as VariableDeclaration;
      if (declaration.kind === 'var') this.#variables(declaration, 'statement');
      return;
    }
    for (const [key, value] of Object.entries(node)) {
      if (!isChild(node, key)) continue;
      for (const child of Array.isArray(value) ? value : [value]) {
        if (!isNode(child)) continue;
        if (child.type === 'VariableDeclaration' && isLoopHead(node, key))
          this.#loopHead(child as VariableDeclaration);
        else this.#nested(child);
      }
    }
  }

  #loopHead(node: VariableDeclaration): void {
    if (node.kind === 'var') this.#variables(node, 'loop');
  }

  #declare(pattern: Pattern): void {
    switch (pattern.type) {
      case 'Identifier':
        this.#names.add(pattern.name);
        break;
      case 'ObjectPattern':
        for (const property of pattern.properties)
          this.#declare(property.type === 'RestElement' ? property.argument : property.value);
        break;
      case 'ArrayPattern':
        for (const element of pattern.elements) if (element) this.#declare(element);
        break;
      case 'RestElement':
        this.#declare(pattern.argument);
        break;
      case 'AssignmentPattern':
        this.#declare(pattern.left);
        break;
    }
  }

  #remove({ start, end }: Node): void {
    this.#replace(start, end, ';');
  }

  /** Keeps as many lines as there were. */
  #replace(start: number, end: number, text: string): void {
    const lines = this.#source.slice(start, end).split('\n').length - 1;
    this.#text.overwrite(start, end, text + '\n'.repeat(lines));
  }
}

function isNode(value: unknown): value is Node {
  return (
    typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
  );
}

const SCOPES = new Set([
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'ClassDeclaration',
]);

/** Statements of a statement; what stands in expressions declares nothing here. */
function isChild(node: Node, key: string): boolean {
  if (SCOPES.has(node.type)) return false;
  return [
    'body',
    'consequent',
    'alternate',
    'block',
    'handler',
    'finalizer',
    'cases',
    'init',
    'left',
  ].includes(key);
}

function isLoopHead(node: Node, key: string): boolean {
  return key === (node.type === 'ForStatement' ? 'init' : 'left');
}
