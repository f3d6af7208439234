import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { createDirectoryArtifacts, UploadSignatures } from '@islet/artifacts';
import { identityOf } from '@islet/certificates';
import { nodeProto } from '@islet/contracts';
import { announceNode, openJoined } from '../../cluster/joined.ts';
import { localLinks, memberLinks } from '../../cluster/links.ts';
import { readOwnMembership } from '../../cluster/membership.ts';
import { registerWith } from '../../consul/register.ts';
import { nodeEntry } from '../../consul/service.ts';
import { loadNodeId } from '../../host/node-id.ts';
import type { Reporter } from '../../output/reporter.ts';
import { openNodeStore } from '../../store/open.ts';
import { nodePorts } from '../../up/claim.ts';
import { ProxyThread } from '../../up/proxies/proxy-thread.ts';
import type { NodeConfig } from '../config.ts';
import { startNode } from '../node.ts';
import { NodeBase } from '../node-base.ts';
import { NodeFurther } from '../node-further.ts';
import { readRoleToken } from '../token.ts';
import { openProcess, type ProcessOptions, serveUntil } from './process.ts';

/** `islet node`: runs sandboxes and builds templates for an API in another process. */
export function runNode(options: ProcessOptions<NodeConfig>): Promise<void> {
  const { config, layout, version, reporter, signal, clock } = options;
  return serveUntil(options, async (undo) => {
    const startedAt = clock();
    const membership = await readOwnMembership(config.dataDir, 'node');
    const ports = nodePorts(config, membership?.advertise);
    const { instance, secrets, logger, telemetry, ownPorts } = await openProcess(
      { service: 'islet-node', version },
      config,
      ports,
      undo,
    );
    const member =
      membership && (await openJoined({ ...{ dataDir: instance.dataDir, membership }, clock, logger }));
    undo.add('the care for the certificate', async () => member?.[Symbol.dispose]());
    const links =
      member && membership
        ? memberLinks(member, membership.advertise)
        : localLinks(await readRoleToken(config.token, secrets.nodeToken));
    const proxies = new ProxyThread({
      ...{ program: layout.proxies, logLevel: config.logLevel, logger, telemetry },
    });
    undo.add('the thread of the proxies', () => proxies[Symbol.asyncDispose]());
    const base = new NodeBase(instance.dataDir);
    const further = new NodeFurther();
    const node = await startNode({
      ...{ config, instance, layout, version, logger, proxies, links },
      store: config.store && (await openNodeStore(config.store, { dataDir: instance.dataDir, logger })),
      durablePause: config.durablePause,
      // It signs no addresses of uploads: those are the API's.
      artifacts: createDirectoryArtifacts({
        directory: config.artifactsDir ?? join(instance.dataDir, 'artifacts'),
        signatures: new UploadSignatures(randomBytes(32).toString('hex')),
      }),
      pullsFromOwnNetworks: false,
      addServices: (router) =>
        router.service(nodeProto.ShippedTemplates, { ...base.service, ...further.service }),
    });
    undo.add('the node', () => node[Symbol.asyncDispose]());
    const { shipped, orchestrator, builds } = node;
    if (orchestrator.slowness !== undefined) reporter.note(orchestrator.slowness);
    undo.add('the builds of further templates', () => further[Symbol.asyncDispose]());
    const step: Reporter['step'] = (id, title) => reporter.step(id, title);
    const building = { shipped, runtime: orchestrator.templates, step, logger };
    const { buildId } = await base.ensure(building, signal);
    orchestrator.templates.keepWarm(buildId);
    await further.start(building, config.with, signal);
    await builds.resume();
    if (member && membership) {
      const announced = announceNode(member, membership, node.ports, logger);
      undo.add('the announcement of the node', () => announced[Symbol.asyncDispose]());
    }
    const { ports: at } = node;
    const entry = nodeEntry({
      id: membership ? (identityOf(membership.cert)?.name ?? '') : await loadNodeId(instance.dataDir),
      labels: membership?.labels ?? {},
      at: {
        ...{ address: links.host, orchestratorPort: at.orchestrator },
        ...{ sandboxProxyPort: at.sandboxProxy, templateManagerPort: at.templateManager },
      },
    });
    registerWith(config.consul, entry, logger, undo);
    reporter.serving({
      ...{ role: 'node', dataDir: instance.dataDir, pid: process.pid },
      ...{ urls: {}, ports: { ...node.ports, ...ownPorts } },
      startedInMs: Math.round(clock() - startedAt),
    });
  });
}
