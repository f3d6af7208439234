/** The request headers that tell a person's browser from a program. */
export interface AudienceHints {
  accept: string | undefined;
  userAgent: string | undefined;
  secFetchMode: string | undefined;
  xRequestedWith: string | undefined;
}

const BROWSER = /mozilla|chrome|safari|firefox|edge|opera|msie/i;
const SCRIPT_MODES = new Set(['cors', 'no-cors', 'same-origin', 'websocket']);

function isScript(hints: AudienceHints): boolean {
  if (hints.secFetchMode !== undefined) return SCRIPT_MODES.has(hints.secFetchMode.toLowerCase());
  return hints.xRequestedWith !== undefined;
}

/** True if an error is shown to a person (a browser's navigation), so it should be a page and not JSON. */
export function wantsPage(hints: AudienceHints): boolean {
  const accept = hints.accept?.toLowerCase() ?? '';
  if (accept.includes('application/json') && !accept.includes('text/html')) return false;
  if (isScript(hints)) return false;
  return BROWSER.test(hints.userAgent ?? '');
}
