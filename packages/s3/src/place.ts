/** Where objects are. Credentials come from where all of Amazon's tools look: variables, files, the machine. */
export interface S3Place {
  bucket: string;
  /** What keys begin with, without a slash at its ends; may be empty. */
  prefix: string;
  /** Of a server that is not Amazon's. */
  endpoint: string | undefined;
  /** Undefined: what Amazon's files say. */
  region: string | undefined;
  /** The bucket is named in the path, not in the host. */
  pathStyle: boolean;
}

/** For people. */
export function nameOf({ bucket, prefix }: S3Place): string {
  return `s3://${bucket}${prefix && `/${prefix}`}`;
}
