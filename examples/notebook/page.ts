import type { Execution, Result } from '@e2b/code-interpreter';

const STYLE = `
body { font: 16px/1.5 sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
pre { background: #f4f5f7; padding: .75rem; overflow-x: auto; font-size: 14px }
pre.error { background: #fdecea; color: #8c1d18 }
table { border-collapse: collapse } td, th { border: 1px solid #ccc; padding: .2rem .5rem; text-align: right }
img { max-width: 100% }`;

export function page(title: string, sections: readonly string[]): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escapeHtml(title)}</title><style>${STYLE}</style>
${sections.join('\n')}</html>\n`;
}

/** A cell of words: headings and paragraphs are enough here. */
export function textSection(markdown: string): string {
  return markdown
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, marks, heading] = /^(#{1,6}) +(.*)$/.exec(line) ?? [];
      if (marks === undefined || heading === undefined) return `<p>${escapeHtml(line)}</p>`;
      return `<h${marks.length}>${escapeHtml(heading)}</h${marks.length}>`;
    })
    .join('\n');
}

/** A cell of code, with all that came of it. */
export function codeSection(code: string, { logs, results, error }: Execution): string {
  const printed = logs.stdout.join('') + logs.stderr.join('');
  return [
    `<pre class="code">${escapeHtml(code)}</pre>`,
    ...(printed === '' ? [] : [`<pre>${escapeHtml(printed)}</pre>`]),
    ...results.map(show),
    ...(error ? [`<pre class="error">${escapeHtml(`${error.name}: ${error.value}`)}</pre>`] : []),
  ].join('\n');
}

/** The richest form that a page can show. A result's own HTML is the notebook's: open what you would run. */
function show({ png, svg, html, text }: Result): string {
  if (png !== undefined) return `<img alt="" src="data:image/png;base64,${png}">`;
  return svg ?? html ?? `<pre>${escapeHtml(text ?? '')}</pre>`;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
