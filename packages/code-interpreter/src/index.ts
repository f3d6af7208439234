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
export { type Language, type Languages, languageName, languagesOf } from './hosts/languages.ts';
export { ProcessHost, type ProcessHostOptions } from './hosts/process/process-host.ts';
export { pythonHost } from './hosts/python/python-host.ts';
export { type Interpreter, type InterpreterOptions, startInterpreter } from './server.ts';
