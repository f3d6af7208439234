import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Certificate } from '@islet/certificates';

/** Where the edge's certificate comes from. */
export interface CertificateSource {
  /**
   * The certificate to serve at `now`: the same object as before unless there is a newer one.
   * @throws Error if there is none that could be served.
   */
  at(now: Date): Promise<Certificate>;
}

/** Whether a key is that of the first certificate in a PEM text. */
export function isPair({ cert, key }: Certificate): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

/** Files of the operator's. They are read again at each question: who renews them replaces them. */
export function certificateFiles(certFile: string, keyFile: string): CertificateSource {
  let known: Certificate | undefined;
  return {
    async at() {
      const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')]);
      if (known?.cert === cert && known.key === key) return known;
      // Two files cannot be replaced at once: between the two the old ones go on.
      if (!isPair({ cert, key })) {
        if (known) return known;
        throw new Error(`${keyFile} does not hold the private key of the certificate in ${certFile}`);
      }
      known = { cert, key };
      return known;
    },
  };
}
