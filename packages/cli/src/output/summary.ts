import type { ReadyInfo } from './reporter.ts';
import { shellWord } from './shell-word.ts';

/** Prints a secret's file in a shell: by its owner, or through sudo if the start went through it. */
export type ReadSecret = 'cat' | 'sudo cat';

/** How secrets are shown. */
export interface SecretStyle {
  read: ReadSecret;
  /** Whether the key may be spelled out at a first start: not in a journal, which more people read than root. */
  spellOnce: boolean;
}

/** What a person needs to go on from here. */
export function summary(info: ReadyInfo, strong: (text: string) => string, secrets: SecretStyle): string {
  const key = keyOf(info, secrets);
  return `
${strong('Islet is ready')} after ${(info.startedInMs / 1000).toFixed(1)} s.

  API        ${info.apiUrl}
  Sandboxes  ${info.sandboxUrl}   (a server on port 3000: http:// or https://3000-<sandboxID>.${info.domain})
  API key    ${key.shown}

For the official SDK:

  export E2B_API_URL=${info.apiUrl}
  export E2B_SANDBOX_URL=${info.sandboxUrl}
  export E2B_VOLUME_API_URL=${info.apiUrl}
  export E2B_API_KEY=${key.word}
${trustLines(info)}
A first sandbox:

  curl -s -X POST ${info.apiUrl}/sandboxes -H 'Content-Type: application/json' -H "X-API-Key: $E2B_API_KEY" -d '{"templateID":"base","secure":true,"timeout":300}'

Ctrl-C stops it.`;
}

/** What has programs believe the certificate that https shows them; browsers and the system ask for `islet trust`. */
function trustLines({ trust }: ReadyInfo): string {
  if (!trust) return '';
  return `
For https:// (browsers: ./islet trust, all programs of this machine: ./islet trust --system):

  export SSL_CERT_FILE=${shellWord(trust.bundleFile)}
  export NODE_EXTRA_CA_CERTS=${shellWord(trust.authorityFile)}
`;
}

/** How the key is shown, and as a word of a shell. A key of its own is spelled out once: what is printed ends up in logs. */
function keyOf(
  { apiKey, apiKeyFile, isFirstStart }: ReadyInfo,
  { read, spellOnce }: SecretStyle,
): { shown: string; word: string } {
  if (apiKey === null) return { shown: 'make one with: ./islet keys create', word: '<your key>' };
  if (apiKeyFile === null) return { shown: apiKey, word: apiKey };
  if (isFirstStart && spellOnce)
    return { shown: `${apiKey}   (shown this once; kept in ${apiKeyFile})`, word: apiKey };
  return { shown: `in ${apiKeyFile}`, word: `$(${read} ${shellWord(apiKeyFile)})` };
}
