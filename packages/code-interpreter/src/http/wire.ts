import type { HostOutput, MimeBundle } from '../hosts/host.ts';

/** The keys of a result that the SDK knows, by MIME type; others go below `extra`. */
const KEYS: Record<string, string> = {
  'text/plain': 'text',
  'text/html': 'html',
  'text/markdown': 'markdown',
  'image/svg+xml': 'svg',
  'image/png': 'png',
  'image/jpeg': 'jpeg',
  'application/pdf': 'pdf',
  'text/latex': 'latex',
  'application/json': 'json',
  'application/javascript': 'javascript',
  'e2b/data': 'data',
  'e2b/chart': 'chart',
};

/** A line of the stream, as the SDK reads it. */
export function lineOf(output: HostOutput, now: Date): string {
  return `${JSON.stringify(messageOf(output, now))}\n`;
}

function messageOf(output: HostOutput, now: Date): Record<string, unknown> {
  switch (output.type) {
    case 'count':
      return { type: 'number_of_executions', execution_count: output.executionCount };
    case 'stdout':
    case 'stderr':
      return { type: output.type, text: output.text, timestamp: now.toISOString() };
    case 'error':
      return { type: 'error', name: output.name, value: output.value, traceback: output.traceback };
    case 'result':
      return { type: 'result', is_main_result: output.main, ...formatsOf(output.data) };
  }
}

function formatsOf(data: MimeBundle): Record<string, unknown> {
  const formats: Record<string, unknown> = {};
  const extra: Record<string, unknown> = {};
  for (const [mime, value] of Object.entries(data)) {
    if (value === null || value === undefined) continue;
    if (Object.hasOwn(KEYS, mime)) formats[KEYS[mime] as string] = value;
    else extra[mime] = value;
  }
  if (typeof formats.text === 'string') formats.text = unquoted(formats.text);
  if (Object.keys(extra).length > 0) formats.extra = extra;
  return formats;
}

/** `'abc'` is shown as `abc`: one pair of quotes around the whole. */
function unquoted(text: string): string {
  const [first, last] = [text[0], text.at(-1)];
  return text.length >= 2 && first === last && (first === "'" || first === '"') ? text.slice(1, -1) : text;
}
