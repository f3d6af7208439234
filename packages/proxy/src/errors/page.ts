const ESCAPES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ESCAPES[char] ?? char);
}

const STYLE = `
:root{color-scheme:light dark}
body{margin:0;min-height:100vh;display:grid;place-items:center;font:16px/1.6 system-ui,sans-serif;background:#fafafa;color:#1f2328}
main{max-width:34rem;padding:2rem}
h1{margin:.25rem 0 1rem;font-size:1.5rem;line-height:1.25}
p{margin:.5rem 0;overflow-wrap:anywhere}
.status{font:600 .875rem/1 ui-monospace,monospace;color:#6e7781;letter-spacing:.05em}
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}.status{color:#8b949e}}
`
  .trim()
  .replaceAll('\n', '');

/** A page that needs nothing from elsewhere. Begins with `<html` and ends with `</html>`, as clients look for. */
export function renderPage(status: number, page: { title: string; lines: string[] }): string {
  const title = escapeHtml(page.title);
  const lines = page.lines.map((line) => `<p>${escapeHtml(line)}</p>`).join('');
  return (
    `<html lang="en"><head><meta charset="utf-8"><title>${title}</title>` +
    `<meta name="viewport" content="width=device-width,initial-scale=1"><style>${STYLE}</style></head>` +
    `<body><main><div class="status">${status}</div><h1>${title}</h1>${lines}</main></body></html>`
  );
}
