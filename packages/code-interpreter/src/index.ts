export {
  type Cell,
  type Emit,
  type HostEnd,
  HostEndedError,
  type HostOutput,
  type HostStart,
  HostStartError,
  type LanguageHost,
  type MakeHost,
  type MimeBundle,
} from './hosts/host.ts';
