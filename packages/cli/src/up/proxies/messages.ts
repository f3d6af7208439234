import type { MessagePort } from 'node:worker_threads';
import type { Route, SignedFile, WakeCredentials, WakeOutcome } from '@islet/catalog';
import type { Certificate, LinkCredentials } from '@islet/certificates';
import { type HostPattern, IsletError, receivedError } from '@islet/contracts';
import type { LoggerOptions } from '@islet/telemetry';

/** What the thread of the proxies is given at its start. */
export interface ThreadSettings {
  logLevel: LoggerOptions['level'];
  /** Whether it keeps figures, which it is asked for. */
  isMeasured: boolean;
  /** Whether it tells the lines of its log as well. */
  tellsLog: boolean;
}

export interface Address {
  host: string;
  /** 0: the system's choice. */
  port: number;
}

export interface EdgeSettings {
  /** Names that the edge answers to. */
  hosts: readonly HostPattern[];
  /** What TLS begins with; undefined: it is not answered. */
  certificate: Certificate | undefined;
  /** Whether there is somebody to ask for a sandbox that the routes do not tell of. */
  looksUp: boolean;
  /** What it shows nodes; undefined: they are on this machine. */
  links?: LinkCredentials | undefined;
}

export interface NodeProxySettings {
  /** What the node shows, and whom it believes; undefined: who asks is on this machine. */
  links?: LinkCredentials | undefined;
  /** Ids of members of the cluster that were removed. */
  refused: readonly string[];
}

/**
 * Each proxy has a table of routes of its own: the edge knows what the control plane does, the node's proxy what the
 * node does.
 */
export type ProxyName = 'edge' | 'node';

/** What the thread is asked; it answers those with an id. */
export type ThreadRequest =
  | { kind: 'open-edge'; id: number; address: Address; routes: MessagePort; settings: EdgeSettings }
  | { kind: 'open-node'; id: number; address: Address; routes: MessagePort; settings: NodeProxySettings }
  | { kind: 'close'; id: number; proxy: ProxyName }
  /** What the edge serves from now on. */
  | { kind: 'certificate'; certificate: Certificate }
  /** What a proxy shows other members of the cluster from now on. */
  | { kind: 'links'; proxy: ProxyName; links: LinkCredentials }
  /** Members of the cluster whom the node's proxy answers no more. */
  | { kind: 'refuse'; memberIds: readonly string[] }
  /** Asks whether the thread still takes messages; it answers with the same. */
  | { kind: 'pulse' }
  /** Asks for all figures. */
  | { kind: 'figures'; id: number }
  /** Answers a question of the thread. */
  | { kind: 'answer'; id: number; answer: unknown }
  | { kind: 'no-answer'; id: number; failure: Failure };

/** What the edge asks whoever knows it, with the answer to each. */
export interface EdgeQuestions {
  /** Traffic has come for a paused sandbox. */
  wake: { ask: { sandboxId: string; credentials: WakeCredentials }; answer: WakeOutcome };
  /** A signed file URL has come that names no sandbox. */
  'find-signer': { ask: { file: SignedFile }; answer: string | undefined };
  /** A request has come for a sandbox that does not serve by what the routes tell. */
  'look-up': { ask: { sandboxId: string }; answer: Route | undefined };
}

type Asked<Name extends keyof EdgeQuestions> = Name extends unknown
  ? { kind: Name; id: number } & EdgeQuestions[Name]['ask']
  : never;

export type EdgeQuestion = Asked<keyof EdgeQuestions>;

/** What the thread says. */
export type ThreadMessage =
  /** A request is carried out; `port` is where an opened proxy listens. */
  | { kind: 'done'; id: number; port?: number }
  | { kind: 'figures'; id: number; figures: unknown }
  | { kind: 'log'; line: string }
  | { kind: 'failed'; id: number; failure: Failure }
  | { kind: 'pulse' }
  /** Traffic begins to use a run, or has not for a while. */
  | { kind: 'use'; executionId: string; inUse: boolean }
  | EdgeQuestion;

/** An error between the threads: classes and causes do not get across. */
export interface Failure {
  message: string;
  /** There where clients may be told: an IsletError's. */
  status: number | undefined;
}

export function toFailure(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error);
  return { message, status: error instanceof IsletError ? error.status : undefined };
}

export function fromFailure({ message, status }: Failure): Error {
  return status === undefined ? new Error(message) : receivedError({ status, message });
}
