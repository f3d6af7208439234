import {
  type BuildInfo,
  type BuildOptions,
  Sandbox,
  type SandboxOpts,
  Template,
  type TemplateClass,
} from 'e2b';
import { afterAll, beforeAll, inject } from 'vitest';
import { type ControlPlane, newTeam } from '../setup/control-plane.ts';

const access = inject('islet');

/** Small machines start sooner, and twenty of them fit everywhere. */
const SIZE = { cpuCount: 1, memoryMB: 512 };
/** Longest build of a test: the machine may be busy with others. */
export const BUILD_MS = 240_000;
/** Longest answer: twenty sandboxes may start at once. */
const REQUEST_MS = 180_000;

export interface Built extends BuildInfo {
  /** What the build said, oldest first. */
  log: string[];
}

/** A team that builds templates with the official SDK, and starts sandboxes of them. */
export class Builder implements AsyncDisposable {
  readonly api: ControlPlane & { team: { id: string; slug: string } };
  readonly options: { apiUrl: string; sandboxUrl: string; apiKey: string; requestTimeoutMs: number };
  readonly #sandboxes: Sandbox[] = [];

  private constructor(api: Builder['api']) {
    this.api = api;
    this.options = {
      apiUrl: access.apiUrl,
      sandboxUrl: access.sandboxUrl,
      apiKey: api.key,
      requestTimeoutMs: REQUEST_MS,
    };
  }

  static async open(teamName: string): Promise<Builder> {
    return new Builder(await newTeam(access, teamName));
  }

  /** Builds; what this team has built is deleted at the end. */
  async build(template: TemplateClass, name: string, options: Partial<BuildOptions> = {}): Promise<Built> {
    const log: string[] = [];
    const info = await Template.build(template, name, {
      ...this.options,
      ...SIZE,
      onBuildLogs: ({ message }) => log.push(message),
      ...options,
    });
    return { ...info, log };
  }

  /** The failure of a build that must not succeed, with the log up to it. */
  async failure(template: TemplateClass, name: string): Promise<{ error: Error; log: string[] }> {
    const log: string[] = [];
    const onBuildLogs = ({ message }: { message: string }) => log.push(message);
    const error = await this.build(template, name, { onBuildLogs }).then(
      () => undefined,
      (thrown: Error) => thrown,
    );
    if (!error) throw new Error(`the build of ${name} succeeded`);
    return { error, log };
  }

  /** A sandbox that ends with this builder. */
  async start(template: string, options: SandboxOpts = {}): Promise<Sandbox> {
    const sandbox = await Sandbox.create(template, { ...this.options, timeoutMs: 300_000, ...options });
    this.#sandboxes.push(sandbox);
    return sandbox;
  }

  /** What a command prints in a new sandbox of a template. */
  async run(template: string, command: string): Promise<string> {
    const sandbox = await this.start(template);
    const { stdout } = await sandbox.commands.run(command);
    await sandbox.kill();
    return stdout.trimEnd();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#sandboxes.map((sandbox) => sandbox.kill()));
    const { body } = await this.api.call<{ templateID: string }[]>('GET', '/templates');
    for (const { templateID } of body) {
      const { status, text } = await this.api.call('DELETE', `/templates/${templateID}`);
      if (status !== 204) throw new Error(`delete of ${templateID} answered ${status}: ${text}`);
    }
    await this.api[Symbol.asyncDispose]();
  }
}

/** One builder for all tests of a file. The object is filled in before the first test. */
export function sharedBuilder(teamName: string): { current: Builder } {
  const shared = {} as { current: Builder };
  beforeAll(async () => {
    shared.current = await Builder.open(teamName);
  });
  afterAll(() => shared.current?.[Symbol.asyncDispose]());
  return shared;
}
