import { BuildError, type BuildInfo, type LogEntry, Template, waitForTimeout } from 'e2b';
import type { Step } from '../output/reporter.ts';
import type { ApiConnection } from './connection.ts';
import type { BuildContext } from './dockerfile.ts';

export interface TemplateBuildOptions {
  /** `[namespace/]alias[:tag]`. */
  name: string;
  tags: string[];
  context: BuildContext;
  startCommand: string | undefined;
  readyCommand: string | undefined;
  cpuCount: number | undefined;
  memoryMb: number | undefined;
  freeDiskMb: number | undefined;
  skipCache: boolean;
  signal: AbortSignal;
}

/** A build that failed, with the last of what it said. */
export class TemplateBuildFailed extends Error {
  override readonly name = 'TemplateBuildFailed';
  readonly tail: string[];

  constructor(cause: BuildError, tail: string[]) {
    super(cause.message, { cause });
    this.tail = tail;
  }
}

/** A start command without a ready command counts as ready after this time, as in the SDK's own Dockerfile builds. */
const DEFAULT_READY_MS = 20_000;
const TAIL_LINES = 20;

/** Builds a template from a Dockerfile on a running Islet, the way the official SDK does. @throws TemplateBuildFailed */
export async function buildTemplate(
  { apiUrl, apiKey }: ApiConnection,
  options: TemplateBuildOptions,
  step: Step,
): Promise<BuildInfo> {
  const { context, startCommand, readyCommand, signal } = options;
  const tail: string[] = [];
  const onBuildLogs = ({ level, message }: LogEntry) => {
    if (level === 'debug') return;
    tail.push(message);
    if (tail.length > TAIL_LINES) tail.shift();
    const output = /^\[[^\]]+\] \[(?:stdout|stderr)\]: (.*)$/s.exec(message)?.[1];
    if (output === undefined) step.progress(message, doneShare(message));
    else step.output(output);
  };
  const builder = Template({ fileContextPath: context.contextDir }).fromDockerfile(context.content);
  const ready = readyCommand ?? waitForTimeout(DEFAULT_READY_MS);
  const template =
    startCommand !== undefined
      ? builder.setStartCmd(startCommand, ready)
      : readyCommand !== undefined
        ? builder.setReadyCmd(readyCommand)
        : builder;
  try {
    return await Template.build(template, options.name, {
      apiUrl,
      apiKey,
      signal,
      onBuildLogs,
      tags: options.tags,
      skipCache: options.skipCache,
      ...(options.cpuCount !== undefined && { cpuCount: options.cpuCount }),
      ...(options.memoryMb !== undefined && { memoryMB: options.memoryMb }),
      ...(options.freeDiskMb !== undefined && { minFreeDiskMb: options.freeDiskMb }),
    });
  } catch (error) {
    if (error instanceof BuildError) throw new TemplateBuildFailed(error, tail);
    throw error;
  }
}

/** How far a build is when it says this, if it counts its steps: the end is the start and the snapshot. */
export function doneShare(message: string): number | undefined {
  const counted = /^(?:CACHED )?\[builder (\d+)\/(\d+)\]/.exec(message);
  if (!counted) return undefined;
  const [step = 0, steps = 1] = counted.slice(1).map(Number);
  return (step - 1) / (steps + 1);
}
