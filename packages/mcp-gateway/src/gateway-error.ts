/** What its reader can do something about: a wrong configuration, a server that is not to be had. The message is shown as it is. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
}
