import { IsletError } from '@islet/contracts';

/** What an error says beside its message; rendered as JSON fields or as a page. */
export interface ProxyErrorDetail {
  /** Fields of the JSON body, in order; `code` follows them. Undefined: the body is the bare message as text. */
  fields: Record<string, string | number> | undefined;
  /** The page for a browser; undefined where browsers get the JSON too. */
  page: { title: string; lines: string[] } | undefined;
}

/** An answer that the proxy gives in a sandbox's stead. */
export class ProxyError extends IsletError {
  readonly detail: ProxyErrorDetail;

  constructor(status: number, message: string, detail: ProxyErrorDetail, cause?: unknown) {
    super(status, message, cause === undefined ? {} : { cause });
    this.name = 'ProxyError';
    this.detail = detail;
  }
}

/** An answer in plain text. */
export function plainError(status: number, message: string, cause?: unknown): ProxyError {
  return new ProxyError(status, message, { fields: undefined, page: undefined }, cause);
}

/** The sandbox is unknown, was killed, or is paused and does not resume by itself. SDKs rely on the 502. */
export function sandboxGone(sandboxId: string, cause?: unknown): ProxyError {
  const message = 'The sandbox was not found';
  return new ProxyError(
    502,
    message,
    {
      fields: { sandboxId, message },
      page: {
        title: 'Sandbox Not Found',
        lines: [
          `The sandbox ${sandboxId} does not run here.`,
          'It may have reached the end of its life or been killed. Start a new one and open its address.',
        ],
      },
    },
    cause,
  );
}

/** The sandbox runs, but nothing listens on the port. */
export function portClosed(sandboxId: string, port: number, cause?: unknown): ProxyError {
  const message = 'The sandbox is running but port is not open';
  return new ProxyError(
    502,
    message,
    {
      fields: { sandboxId, message, port },
      page: {
        title: 'Closed Port',
        lines: [
          `The sandbox ${sandboxId} is running, but there is no service running on port ${port}.`,
          `Start a server in the sandbox that listens on port ${port}, then load this page again.`,
        ],
      },
    },
    cause,
  );
}

/** The sandbox takes only traffic with its token, and the request has none. */
export function trafficTokenMissing(sandboxId: string): ProxyError {
  const message =
    "Sandbox is secured with traffic access token. Token header 'e2b-traffic-access-token' is missing";
  return new ProxyError(403, message, {
    fields: { sandboxId, message },
    page: {
      title: 'Missing Traffic Access Token',
      lines: [
        `The sandbox ${sandboxId} takes only requests that carry its traffic access token.`,
        "Send the token in the header 'e2b-traffic-access-token'.",
      ],
    },
  });
}

/** The sandbox takes only traffic with its token, and the request's is another. */
export function trafficTokenInvalid(sandboxId: string): ProxyError {
  const message =
    "Sandbox is secured with traffic access token. Provided token in header 'e2b-traffic-access-token' is invalid";
  return new ProxyError(403, message, {
    fields: { sandboxId, message },
    page: {
      title: 'Invalid Traffic Access Token',
      lines: [
        `The sandbox ${sandboxId} takes only requests that carry its traffic access token.`,
        "The token in the header 'e2b-traffic-access-token' is not the right one.",
      ],
    },
  });
}

/** The sandbox has as many connections as it may have. */
export function tooManyConnections(sandboxId: string, connectionLimit: number): ProxyError {
  const message = 'The sandbox has reached its limit of connections. Close some or try again in a moment.';
  return new ProxyError(429, message, {
    fields: { sandboxId, message, connectionLimit },
    page: {
      title: 'Too Many Connections',
      lines: [`The sandbox ${sandboxId} has ${connectionLimit} connections open, which is its limit.`],
    },
  });
}

/** All sandboxes of its team together have as many as they may have now. */
export function tooManyConnectionsOfTeam(sandboxId: string, connectionLimit: number): ProxyError {
  const message =
    'Together all sandboxes of its team have reached their limit of connections. Close some or try again in a moment.';
  return new ProxyError(429, message, {
    fields: { sandboxId, message, connectionLimit },
    page: {
      title: 'Too Many Connections',
      lines: [
        `All sandboxes of its team have ${connectionLimit} connections open, which is their limit now.`,
      ],
    },
  });
}

/** An answer about a sandbox that has no page of its own. */
function sandboxRefused(status: number, sandboxId: string, message: string, cause?: unknown): ProxyError {
  const page = { title: 'Sandbox Not Available', lines: [message, `Sandbox ${sandboxId}`] };
  return new ProxyError(status, message, { fields: { sandboxId, message }, page }, cause);
}

/** The sandbox is between two states for longer than requests are held. */
export function sandboxTransitioning(sandboxId: string): ProxyError {
  return sandboxRefused(409, sandboxId, 'The sandbox is still transitioning. Try again in a moment.');
}

/** The sandbox was stopped while the request was under way, and goes on elsewhere: nobody knows what it did of it. */
export function sandboxMoved(sandboxId: string, cause?: unknown): ProxyError {
  const message = 'The sandbox was moved while this request was under way. Try again.';
  return sandboxRefused(503, sandboxId, message, cause);
}

/** The sandbox was stopped for a snapshot while the request was under way, and cannot answer it: nobody knows what it did of it. */
export function sandboxSaved(sandboxId: string, cause?: unknown): ProxyError {
  const message = 'The sandbox was saved while this request was under way. Try again.';
  return sandboxRefused(503, sandboxId, message, cause);
}

/** The sandbox is paused, and the request may not resume it. */
export function wakeRefused(sandboxId: string): ProxyError {
  return sandboxRefused(
    403,
    sandboxId,
    "This sandbox can't be resumed with the credentials provided. Check your access token and try again.",
  );
}

/** The sandbox is paused, and its team has no place for it. @param message as the api tells it */
export function wakeBeyondLimit(sandboxId: string, message: string): ProxyError {
  return sandboxRefused(429, sandboxId, message);
}

/** An endpoint of envd that only the control plane may call. */
export function reservedEndpoint(path: string): ProxyError {
  const message =
    'This endpoint is reserved for the E2B control plane and is not reachable through the sandbox URL';
  return new ProxyError(404, message, { fields: { message, path }, page: undefined });
}

/** The request reached the sandbox or its node, and the exchange failed there before there was an answer. */
export function routingFailed(cause: unknown): ProxyError {
  return plainError(502, 'Failed to route request to sandbox', cause);
}
