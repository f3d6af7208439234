export { createS3Objects, openS3Objects } from './open.ts';
export type { S3Place } from './place.ts';
