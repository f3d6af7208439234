/** A certificate chain and its private key, both PEM. */
export interface Certificate {
  cert: string;
  key: string;
}
