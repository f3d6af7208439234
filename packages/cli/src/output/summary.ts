import type { ReadyInfo } from './reporter.ts';

/** What a person needs to go on from here. */
export function summary(info: ReadyInfo, strong: (text: string) => string): string {
  const body = `'{"templateID":"base"}'`;
  return `
${strong('Islet is ready')} after ${(info.startedInMs / 1000).toFixed(1)} s.

  API        ${info.apiUrl}
  Sandboxes  ${info.sandboxUrl}   (a server on port 3000: http://3000-<sandboxID>.${info.domain})
  API key    ${info.apiKey}

For the official SDK:

  export E2B_API_URL=${info.apiUrl}
  export E2B_SANDBOX_URL=${info.sandboxUrl}
  export E2B_VOLUME_API_URL=${info.apiUrl}
  export E2B_API_KEY=${info.apiKey}

A first sandbox:

  curl -s -X POST ${info.apiUrl}/sandboxes -H 'Content-Type: application/json' -H 'X-API-Key: ${info.apiKey}' -d ${body}

Ctrl-C stops it.`;
}
