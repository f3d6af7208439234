export { bashHost } from './hosts/bash/bash-host.ts';
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
export { javascriptHost } from './hosts/javascript/javascript-host.ts';
export { hasKernel, jupyterHost, kernelFolders } from './hosts/jupyter/jupyter-host.ts';
export { type Language, type Languages, languageName, languagesOf } from './hosts/languages.ts';
export { ProcessHost, type ProcessHostOptions } from './hosts/process/process-host.ts';
export { pythonHost } from './hosts/python/python-host.ts';
export { rHost } from './hosts/r/r-host.ts';
export { type Interpreter, type InterpreterOptions, startInterpreter } from './server.ts';
