// A team that abuses Islet, as a process of its own: it would be on another machine. Its argument is an `AbuserOrder`
// in JSON. It says `begun` when its abuse is under way, and ends it when its stdin ends.
import { once } from 'node:events';
import { Sandbox } from 'e2b';
import { ABUSES } from '../../e2e/hostile/abuses.ts';
import { ControlPlane } from '../../e2e/setup/control-plane.ts';
import { sdkOptions } from '../islet/sdk.ts';
import type { AbuserOrder } from './abusers.ts';

const { abuse: name, access, apiKey, sandboxId } = JSON.parse(process.argv[2] ?? '') as AbuserOrder;
const abuse = ABUSES.find((known) => known.name === name);
if (!abuse) throw new Error(`no abuse is named ${name}`);
const sandbox = await Sandbox.connect(sandboxId, { ...sdkOptions(access), apiKey });
const stop = await abuse.begin({ api: new ControlPlane(access, apiKey), sandbox });
process.stdout.write('begun\n');
await once(process.stdin.resume(), 'end');
await stop();
process.exit();
