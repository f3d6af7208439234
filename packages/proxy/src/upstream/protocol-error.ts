/** What a sandbox sent is no HTTP/1.1 response, or one that two readers could take for different ones. */
export class UpstreamProtocolError extends Error {
  constructor(detail: string) {
    super(`the sandbox's answer is not valid HTTP: ${detail}`);
    this.name = 'UpstreamProtocolError';
  }
}
