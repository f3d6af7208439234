import { IsletError } from '@islet/contracts';
import { type AudienceHints, wantsPage } from './audience.ts';
import { renderPage } from './page.ts';
import { ProxyError, plainError } from './proxy-error.ts';

export interface RenderedError {
  status: number;
  contentType: string;
  body: string;
}

/** The one place where an error becomes an answer. What is not meant for clients becomes a 500 without its text. */
export function renderError(error: unknown, audience: AudienceHints): RenderedError {
  const known = toProxyError(error);
  const { fields, page } = known.detail;
  if (page && wantsPage(audience)) {
    return {
      status: known.status,
      contentType: 'text/html; charset=utf-8',
      body: renderPage(known.status, page),
    };
  }
  if (fields) {
    const body = JSON.stringify({ ...fields, code: known.status });
    return { status: known.status, contentType: 'application/json; charset=utf-8', body };
  }
  return { status: known.status, contentType: 'text/plain; charset=utf-8', body: known.message };
}

function toProxyError(error: unknown): ProxyError {
  if (error instanceof ProxyError) return error;
  if (error instanceof IsletError) return plainError(error.status, error.message, error);
  return plainError(500, 'Failed to route request to sandbox', error);
}
