import { access, realpath } from 'node:fs/promises';
import { openDatabase } from '@islet/db';
import { LockHeldError } from '@islet/host';
import { type Administration, administrationOf } from '../control/administration.ts';
import { controlSocket, databaseDir } from '../control/open.ts';
import { administrationThrough, type InstanceStatus, readStatus } from '../control/socket.ts';
import { type Instance, instanceAt } from '../host/instance.ts';
import { lockInstance } from '../host/instance-lock.ts';
import { findPortProblems } from '../host/ports.ts';
import { explainError } from '../output/reporter.ts';
import { portWishes } from '../up/claim.ts';
import type { UpConfig } from '../up/config.ts';
import type { DatabaseFacts } from './checks/database.ts';
import type { PortFacts } from './checks/ports.ts';

/** The instance of a data directory, if that exists: looking for it must not make it. */
async function findInstance(dataDir: string): Promise<Instance | undefined> {
  return realpath(dataDir).then(instanceAt, () => undefined);
}

/** What the Islet that runs with a data directory says of itself. */
export async function runningStatus(dataDir: string): Promise<InstanceStatus | undefined> {
  const instance = await findInstance(dataDir);
  return instance && (await readStatus(controlSocket(instance)));
}

export async function probePorts(config: UpConfig): Promise<PortFacts> {
  const wishes = portWishes(config);
  const problems = await findPortProblems(wishes);
  const running = problems.length > 0 ? await runningStatus(config.dataDir) : undefined;
  return { ports: wishes.map(({ port }) => port), problems, runningPid: running?.pid };
}

/** Looks into the database without making, migrating or sharing it. */
export async function probeDatabase(config: UpConfig, migrationsDir: string): Promise<DatabaseFacts> {
  const { databaseUrl, dataDir } = config;
  if (databaseUrl) {
    const { host, pathname } = new URL(databaseUrl);
    return ask(`PostgreSQL at ${host}${pathname}`, true, async () => {
      const db = await openDatabase({ url: databaseUrl, migrationsDir });
      return reportAndClose(administrationOf(db), () => db.close());
    });
  }
  const instance = await findInstance(dataDir);
  if (!instance || !(await isThere(databaseDir(instance)))) return { kind: 'none', dataDir };
  const where = `the embedded database in ${instance.dataDir}`;
  try {
    const lock = await lockInstance(instance);
    return await ask(where, false, async () => {
      try {
        const db = await openDatabase({ dataDir: databaseDir(instance), migrationsDir });
        return await reportAndClose(administrationOf(db), () => db.close());
      } finally {
        await lock[Symbol.asyncDispose]();
      }
    });
  } catch (error) {
    if (!(error instanceof LockHeldError)) throw error;
    const facts = await ask(where, false, () =>
      administrationThrough(controlSocket(instance)).databaseReport({}),
    );
    return facts.kind === 'report' ? { ...facts, askedRunningInstance: true } : facts;
  }
}

type Report = Extract<DatabaseFacts, { kind: 'report' }>['report'];

async function ask(where: string, external: boolean, read: () => Promise<Report>): Promise<DatabaseFacts> {
  try {
    return { kind: 'report', report: await read(), askedRunningInstance: false };
  } catch (error) {
    const { message, causes } = explainError(error);
    return { kind: 'unreachable', where, errors: [message, ...causes], external };
  }
}

async function reportAndClose(administration: Administration, close: () => Promise<void>): Promise<Report> {
  try {
    return await administration.databaseReport({});
  } finally {
    await close();
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
