/** The request cannot be met; the message says what to do. */
export class AdministrationError extends Error {
  override readonly name = 'AdministrationError';
}
