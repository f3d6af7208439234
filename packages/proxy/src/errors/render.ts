import { IsletError } from '@islet/contracts';
import { type AudienceHints, wantsPage } from './audience.ts';
import { renderPage } from './page.ts';
import { ProxyError, plainError } from './proxy-error.ts';

export interface RenderedError {
  status: number;
  contentType: string;
  body: string;
  /** When to try again, whole seconds; undefined: nobody can say. */
  retryAfterS: number | undefined;
}

/** What is away for a moment is asked again after it, s: as the api says. */
const RETRY_AFTER_S = 1;

/** The one place where an error becomes an answer. What is not meant for clients becomes a 500 without its text. */
export function renderError(error: unknown, audience: AudienceHints): RenderedError {
  const known = toProxyError(error);
  const { status, message } = known;
  const { fields, page } = known.detail;
  const common = { status, retryAfterS: status === 503 ? RETRY_AFTER_S : undefined };
  if (page && wantsPage(audience)) {
    return { ...common, contentType: 'text/html; charset=utf-8', body: renderPage(status, page) };
  }
  if (fields) {
    const body = JSON.stringify({ ...fields, code: status });
    return { ...common, contentType: 'application/json; charset=utf-8', body };
  }
  return { ...common, contentType: 'text/plain; charset=utf-8', body: message };
}

function toProxyError(error: unknown): ProxyError {
  if (error instanceof ProxyError) return error;
  if (error instanceof IsletError) return plainError(error.status, error.message, error);
  return plainError(500, 'Failed to route request to sandbox', error);
}
