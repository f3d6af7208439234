import { isIP } from 'node:net';
import { posix } from 'node:path';
import {
  bodyIsNoObject,
  fieldNotList,
  fieldNotObject,
  fieldNotText,
  fieldNotValid,
  invalidNameServers,
  invalidTimestamp,
  invalidVariable,
  invalidVolumeTargets,
  networkVolumesNotSupported,
  volumesWithoutIds,
  volumesWithoutPaths,
} from '@islet/contracts';
import { parseStandstill, type Standstill } from '../standstill/standstill.ts';

export interface VolumeMount {
  id: string;
  /** Absolute, without `.` and `..`. */
  path: string;
  /** Where it is served over the network; undefined if the machine sees it. */
  target: string | undefined;
}

/** The body of POST /init, validated. Absent fields are undefined. */
export interface InitRequest {
  envVars: Record<string, string> | undefined;
  accessToken: string | undefined;
  /** Unix nanoseconds. */
  timestampNs: bigint | undefined;
  defaultUser: string | undefined;
  defaultWorkdir: string | undefined;
  hyperloopIp: string | undefined;
  caBundle: string | undefined;
  sandboxId: string | undefined;
  /** Of this start of the machine, see `Initializer`. */
  startId: string | undefined;
  templateId: string | undefined;
  hostname: string | undefined;
  /** Addresses of name servers. */
  dns: string[] | undefined;
  /** Volumes by the ids under which the machine sees them, and where they belong. */
  volumes: VolumeMount[];
  /** True: end every other process, as a reboot does. */
  reboot: boolean;
  /** In which the machine was saved, if its clock went on meanwhile. */
  stoodStill: Standstill | undefined;
}

const HOSTNAME = /^[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?$/i;
/** Ids end up in file contents and environment variables. */
const ID = /^[A-Za-z0-9._-]{1,128}$/;

/** As in `169.254.0.22:/volume`. */
const TARGET = /^\d{1,3}(?:\.\d{1,3}){3}:\/[A-Za-z0-9._-]{1,128}$/;

/** @throws IsletError 400 */
export function parseInitRequest(body: unknown): InitRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw bodyIsNoObject();
  }
  const fields = body as Record<string, unknown>;
  if (Array.isArray(fields.volumeMounts) && fields.volumeMounts.length > 0) {
    throw networkVolumesNotSupported();
  }
  const timestamp = text(fields, 'timestamp');
  return {
    envVars: envVars(fields.envVars),
    accessToken: text(fields, 'accessToken'),
    timestampNs: timestamp === undefined ? undefined : parseTimestamp(timestamp),
    defaultUser: text(fields, 'defaultUser'),
    defaultWorkdir: text(fields, 'defaultWorkdir'),
    hyperloopIp: matching(fields, 'hyperloopIP', (value) => isIP(value) !== 0),
    caBundle: text(fields, 'caBundle'),
    sandboxId: matching(fields, 'sandboxId', (value) => ID.test(value)),
    startId: matching(fields, 'startId', (value) => ID.test(value)),
    templateId: matching(fields, 'templateId', (value) => ID.test(value)),
    hostname: matching(fields, 'hostname', (value) => HOSTNAME.test(value)),
    dns: addresses(fields.dns),
    volumes: volumes(fields.volumes),
    reboot: fields.reboot === true,
    stoodStill: fields.stoodStill === undefined ? undefined : parseStandstill(fields.stoodStill),
  };
}

/** Reads an RFC 3339 time with up to nine digits of a second. @throws IsletError 400 */
export function parseTimestamp(value: string): bigint {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)$/i.exec(value);
  const ms = match ? Date.parse(`${match[1]}${match[3]}`) : Number.NaN;
  if (Number.isNaN(ms)) throw invalidTimestamp(value.slice(0, 64));
  return BigInt(ms) * 1_000_000n + BigInt((match?.[2] ?? '0').padEnd(9, '0'));
}

/** Empty text counts as absent. */
function text(fields: Record<string, unknown>, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw fieldNotText(name);
  return value;
}

function matching(
  fields: Record<string, unknown>,
  name: string,
  accept: (value: string) => boolean,
): string | undefined {
  const value = text(fields, name);
  if (value !== undefined && !accept(value)) throw fieldNotValid(name);
  return value;
}

function envVars(value: unknown): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object' || Array.isArray(value)) throw fieldNotObject('envVars');
  const entries = Object.entries(value);
  for (const [key, item] of entries) {
    if (typeof item !== 'string') throw fieldNotText(`envVars.${key}`);
    if (key === '' || /[=\0]/.test(key) || item.includes('\0')) {
      throw invalidVariable(key);
    }
  }
  return Object.fromEntries(entries);
}

function volumes(value: unknown): VolumeMount[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw fieldNotList('volumes');
  return value.map((item) => {
    const { id, path, target } = (item ?? {}) as Record<string, unknown>;
    if (typeof id !== 'string' || !ID.test(id)) throw volumesWithoutIds();
    if (typeof path !== 'string' || !posix.isAbsolute(path) || posix.normalize(path) !== path) {
      throw volumesWithoutPaths();
    }
    if (target !== undefined && (typeof target !== 'string' || !TARGET.test(target)))
      throw invalidVolumeTargets();
    return { id, path, target };
  });
}

function addresses(value: unknown): string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string' && isIP(item) !== 0)) {
    throw invalidNameServers();
  }
  return value;
}
