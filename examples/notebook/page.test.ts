import type { Execution } from '@e2b/code-interpreter';
import { expect, it } from 'vitest';
import { codeSection, page, textSection } from './page.ts';

it('shows words as headings and paragraphs, and never as code of the page', () => {
  expect(textSection('## Sizes\n\nabout <b> & "c"')).toBe(
    '<h2>Sizes</h2>\n<p>about &lt;b> &amp; &quot;c&quot;</p>',
  );
  expect(page('<x>', [])).toContain('<title>&lt;x></title>');
});

it('shows the richest form of a result, and what was printed before it', () => {
  const execution = {
    results: [{ text: 'table', html: '<table></table>' }],
    logs: { stdout: ['1 < 2\n'], stderr: [] },
  } as unknown as Execution;
  expect(codeSection('a < b', execution).split('\n')).toEqual([
    '<pre class="code">a &lt; b</pre>',
    '<pre>1 &lt; 2',
    '</pre>',
    '<table></table>',
  ]);
});
