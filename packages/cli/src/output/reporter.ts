import type { TrustFiles } from '../https/published.ts';

/** One step of a longer piece of work, while it runs. */
export interface Step {
  /** News of it; `fraction` (0…1) if it knows how far it is. */
  progress(message: string, fraction?: number): void;
  /** A line that stays to be read: what a program of it prints. */
  output(line: string): void;
  /** Ends it well; `result` says what came of it. */
  done(result?: string): void;
}

export interface ReadyInfo {
  apiUrl: string;
  sandboxUrl: string;
  /** Null where no good key is known here. */
  apiKey: string | null;
  /** Where the key is kept; null for the one that everybody knows. */
  apiKeyFile: string | null;
  accessToken: string | null;
  /** The installation was made by this start. */
  isFirstStart: boolean;
  domain: string;
  /** What makes programs trust https to sandboxes; null if the certificate is the operator's. */
  trust: TrustFiles | null;
  templateId: string;
  dataDir: string;
  pid: number;
  ports: Record<string, number>;
  startedInMs: number;
}

/** A role that serves as a process of its own. */
export interface ServingInfo {
  role: 'api' | 'edge' | 'node';
  /** Where clients reach it. */
  urls: Record<string, string>;
  ports: Record<string, number>;
  dataDir: string;
  pid: number;
  startedInMs: number;
}

/** Where a command tells what it does: people at a terminal, a log, or a program. */
export interface Reporter {
  step(id: string, title: string): Step;
  ready(info: ReadyInfo): void;
  serving(info: ServingInfo): void;
  /** Something the user should know that stops nothing. */
  note(message: string): void;
  error(error: unknown): void;
  stopping(reason: string): void;
  stopped(): void;
}

/** What went wrong and, line by line, why. */
export function explainError(error: unknown): { message: string; causes: string[] } {
  if (isSuppressed(error)) {
    const first = explainError(error.suppressed);
    const later = explainError(error.error);
    return { message: first.message, causes: [...first.causes, later.message, ...later.causes] };
  }
  const causes: string[] = [];
  const message = textOf(error);
  let cause = error instanceof Error ? error.cause : undefined;
  while (cause !== undefined) {
    const text = textOf(cause);
    // Wrapping messages often repeat what they wrap.
    if (!message.includes(text) && !causes.includes(text)) causes.push(text);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return { message, causes };
}

/** What `using` throws where tidying up after an error fails as well. Not every Node has the class. */
function isSuppressed(error: unknown): error is { error: unknown; suppressed: unknown } {
  return error instanceof Error && 'suppressed' in error && 'error' in error;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
