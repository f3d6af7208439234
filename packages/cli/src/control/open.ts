import { join } from 'node:path';
import { type Database, openDatabase } from '@islet/db';
import { LockHeldError } from '@islet/host';
import { type Instance, openInstance } from '../host/instance.ts';
import { lockInstance } from '../host/instance-lock.ts';
import { type Administration, administrationOf } from './administration.ts';
import { auditedAdministration } from './audit.ts';
import { administrationThrough, readStatus } from './socket.ts';

export interface InstallationOptions {
  dataDir: string;
  databaseUrl: string | undefined;
  migrationsDir: string;
}

/** An installation's database as a command may use it: directly if that is safe, else through who holds it. */
export interface OpenInstallation extends AsyncDisposable {
  administration: Administration;
  /** Undefined if a running instance holds the embedded database. */
  db: Database | undefined;
}

export function controlSocket(instance: Instance): string {
  return join(instance.runtimeDir, 'control.sock');
}

export function databaseDir(instance: Instance): string {
  return join(instance.dataDir, 'db');
}

/** @throws Error if the database is held by an instance that does not answer. */
export async function openInstallation(options: InstallationOptions): Promise<OpenInstallation> {
  const { databaseUrl, migrationsDir } = options;
  if (databaseUrl) {
    const db = await openDatabase({ url: databaseUrl, migrationsDir });
    return {
      administration: auditedAdministration(administrationOf(db), db),
      db,
      [Symbol.asyncDispose]: () => db.close(),
    };
  }
  const instance = await openInstance(options.dataDir);
  let lock: AsyncDisposable;
  try {
    lock = await lockInstance(instance);
  } catch (error) {
    if (!(error instanceof LockHeldError)) throw error;
    return throughInstance(instance, error);
  }
  try {
    const db = await openDatabase({ dataDir: databaseDir(instance), migrationsDir });
    const close = async () => {
      await db.close();
      await lock[Symbol.asyncDispose]();
    };
    return {
      administration: auditedAdministration(administrationOf(db), db),
      db,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}

/** An installation as the Islet that runs it has it, and not its database alone. @throws Error if none runs */
export async function openRunning(dataDir: string): Promise<Administration> {
  const path = controlSocket(await openInstance(dataDir));
  if (await readStatus(path)) return administrationThrough(path);
  throw new Error(`no API runs on ${dataDir}: start it first, or give the --data-dir of one that does`);
}

async function throughInstance(instance: Instance, held: LockHeldError): Promise<OpenInstallation> {
  const path = controlSocket(instance);
  if (!(await readStatus(path))) {
    throw new Error(
      `${instance.dataDir} is in use (${held.note}) by an Islet that is starting or stopping: try again`,
      {
        cause: held,
      },
    );
  }
  return {
    administration: administrationThrough(path),
    db: undefined,
    [Symbol.asyncDispose]: async () => {},
  };
}
