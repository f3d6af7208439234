import { inspect } from 'node:util';

/** Methods by which objects say how they look, as earlier JavaScript kernels have them. */
const METHODS: Readonly<Record<string, string>> = {
  _toHtml: 'text/html',
  _toMarkdown: 'text/markdown',
  _toSvg: 'image/svg+xml',
  _toPng: 'image/png',
  _toJpeg: 'image/jpeg',
  _toLatex: 'text/latex',
};

/** What Deno's kernel asks objects for. */
const DISPLAY = Symbol.for('Jupyter.display');

type Look = () => unknown;

/** A value by MIME types. @throws whatever a method of the value throws */
export async function bundleOf(value: unknown): Promise<Record<string, unknown>> {
  const text = { 'text/plain': inspect(value, { colors: false }) };
  if (typeof value !== 'object' || value === null) return text;
  const object = value as Record<string | symbol, unknown> & { _toMime?: unknown };
  if (typeof object[DISPLAY] === 'function') return asBundle(await (object[DISPLAY] as Look)(), text);
  const bundle: Record<string, unknown> = { ...text };
  if (typeof object._toMime === 'function')
    Object.assign(bundle, asBundle(await (object._toMime as Look)(), text));
  for (const [method, type] of Object.entries(METHODS)) {
    if (typeof object[method] === 'function') bundle[type] = await (object[method] as Look)();
  }
  return bundle;
}

function asBundle(value: unknown, fallback: Record<string, unknown>): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : fallback;
}
